"""From method and path to a route: one look-up for a path without parameters, a walk over its segments for others.

FastAPI tries the regular expression of one route after another, which takes longer with every route added.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

from starlette.types import Receive, Scope, Send

from gateway.problems.errors import MethodNotAllowed
from gateway.request.route import PUBLIC, Route, Terms
from tenants.errors import NotFound, TenantryError
from tenants.resources.errors import DeclarationError

_PARAMETER = re.compile(r"\{(\w+)(:path)?\}")
_NO_VALUES: tuple[str, ...] = ()

Found = tuple[Route, tuple[str, ...]]  # and the values of its parameters
_Match = tuple[dict[str, Route], tuple[str, ...]]


def _refusing(make: Callable[[], TenantryError], template: str, *, browsers: bool, any_host: bool) -> Route:
    """Raises a new error each time: one that the route kept would form a reference cycle with its traceback."""

    async def refuse(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise make()

    return Route("", template, Terms(PUBLIC, browsers=browsers, any_host=any_host), refuse)


async def _not_found(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise NotFound


UNMATCHED: Found = (Route("", "", Terms(PUBLIC), _not_found), _NO_VALUES)  # of every path without a route


class _Node:
    """What may follow a prefix of a path."""

    __slots__ = ("children", "methods", "parameter", "rest")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.parameter: _Node | None = None  # one segment of any text but the empty one
        self.rest: dict[str, Route] = {}  # all remaining segments, by method
        self.methods: dict[str, Route] = {}  # the path ends here


class RouteTable:
    """Routes by path and method. A literal segment has precedence over a parameter, and a parameter over a rest."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Raises DeclarationError when two routes have the same method and path."""
        self._literal: dict[str, dict[str, Route]] = {}
        self._root = _Node()
        self._takes_any = False  # a template begins with a parameter, or is one of the whole path
        for route in routes:
            self.place(route.template, route)

    def place(self, template: str, route: Route, *, yields: bool = False) -> None:
        """Let the route answer at this template, which need not be its own. With ``yields`` one that is there stays.

        Raises DeclarationError as at the start.
        """
        methods = self._place(template)
        if methods.setdefault(route.method, route) is not route and not yields:
            first = methods[route.method].template
            raise DeclarationError(
                f"Route {route.method} {template}", f"{route.method} {first} already answers to these requests"
            )
        self._takes_any = self._root.parameter is not None or bool(self._root.rest)

    def find(self, method: str, path: str) -> Found:
        """The route, and the values of its parameters in the order of its template. HEAD is answered as GET.

        Where there is none, a route that answers 404, or 405 with the methods that the path allows.
        """
        methods = self._literal.get(path)
        if methods is not None and (route := methods.get(method)) is not None:
            return route, _NO_VALUES
        segments = path.split("/")
        if not self._takes_any and (len(segments) == 1 or segments[1] not in self._root.children):
            return UNMATCHED  # as most paths of another table, at the least cost
        return self._straight(method, segments) or self._searched("GET" if method == "HEAD" else method, segments)

    def matches(self, path: str) -> list[_Match]:
        """What there is for this path, by method, the most literal first."""
        return list(_matches(self._root, path.split("/"), 1))

    def _straight(self, method: str, segments: list[str]) -> Found | None:
        """The most literal branch alone, which nearly always has the route, and the rest of the path at its end."""
        node, values, left = self._root, _NO_VALUES, iter(segments)
        next(left)
        for segment in left:
            child = node.children.get(segment)
            if child is None:
                child = node.parameter
                if child is None or not segment:
                    route = node.rest.get(method)
                    return None if route is None else (route, (*values, "/".join((segment, *left))))
                values = (*values, segment)
            node = child
        route = node.methods.get(method)
        return None if route is None else (route, values)

    def _searched(self, method: str, segments: list[str]) -> Found:
        """Every branch, the most literal first."""
        others: list[_Match] = []
        for methods, values in _matches(self._root, segments, 1):
            route = methods.get(method)
            if route is not None:
                return route, values
            others.append((methods, values))
        return _not_allowed(others) if others else UNMATCHED

    def _place(self, template: str) -> dict[str, Route]:
        node = self._root
        for segment in template.split("/")[1:]:
            parameter = _PARAMETER.fullmatch(segment)
            if parameter is None:
                node = node.children.setdefault(segment, _Node())
            elif parameter[2]:
                return node.rest
            else:
                node.parameter = node.parameter or _Node()
                node = node.parameter
        if "{" not in template:
            self._literal[template] = node.methods
        return node.methods


def find_in(tables: Sequence[RouteTable], method: str, path: str) -> Found:
    """The route of the first of these tables that has one. Where none has, the answer names the methods of all."""
    refused: list[_Match] = []
    for table in tables:
        found = table.find(method, path)
        if found[0].method:
            return found
        refused += table.matches(path)
    return _not_allowed(refused) if refused else UNMATCHED


@cache
def parameters_of(template: str) -> tuple[str, ...]:
    """The names of a template's parameters, in order."""
    return tuple(name for name, _ in _PARAMETER.findall(template))


def _matches(node: _Node, segments: list[str], at: int) -> Iterator[_Match]:
    if at == len(segments):
        if node.methods:
            yield node.methods, _NO_VALUES
        return
    segment = segments[at]
    if (child := node.children.get(segment)) is not None:
        yield from _matches(child, segments, at + 1)
    if segment and node.parameter is not None:
        for methods, values in _matches(node.parameter, segments, at + 1):
            yield methods, (segment, *values)
    if node.rest:
        yield node.rest, ("/".join(segments[at:]),)


def _not_allowed(others: list[_Match]) -> Found:
    allowed = {method for methods, _ in others for method in methods}
    if "GET" in allowed:
        allowed.add("HEAD")
    allow = tuple(sorted(allowed))
    (methods, values), *_ = others
    template = next(iter(methods.values())).template
    terms = [route.terms for each, _ in others for route in each.values()]
    browsers, any_host = any(each.open_to_browsers for each in terms), any(each.any_host for each in terms)
    return _refusing(lambda: MethodNotAllowed(allow), template, browsers=browsers, any_host=any_host), values
