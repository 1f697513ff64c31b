"""The stage that finds a request's route, whose terms all later stages apply."""

import re
from collections.abc import Iterable
from typing import Protocol

from gateway.problems.errors import MalformedRequest
from gateway.request.context import RequestContext
from gateway.request.fields import RequestFields
from gateway.request.host import host_name
from gateway.request.route import Route
from gateway.routing.table import UNMATCHED, Found, RouteTable, parameters_of

# An encoded slash, backslash or dot, or a segment of dots: what a proxy in front may read as another path (PX6).
_AMBIGUOUS = re.compile(rb"%2[EFef]|%5[Cc]|/\.{1,2}(?:/|$)")
# What an upstream may read as another path: decoded twice, cut at NUL, with dots before a parameter of the segment.
_AMBIGUOUS_TO_UPSTREAMS = re.compile(rb"%25(?:2[EFef]|5[Cc])|%00|/\.{1,2};|\\")
_UNUSUAL = re.compile(rb"//|[%;\\]|/$")
_PARAMETERS, _SLASHES = re.compile(r";[^/]*"), re.compile(r"//+")

_NO_VALUES: tuple[str, ...] = ()


class HostNotServed(MalformedRequest):
    """RFC 9110 section 7.4: a link built from a forged Host would lead to another site."""

    message = "Host names no host that this API is served under. Use the URL of the API's documentation."


class ProxiedRoutes(Protocol):
    """Routes to upstreams. They come and go while requests run."""

    def find(self, method: str, path: str, host: str) -> Route:
        """As ``RouteTable.find``, among the routes of the host, and then among those of any host."""
        ...


class NoProxiedRoutes:
    """Of a gateway that serves only its own routes."""

    def find(self, method: str, path: str, host: str) -> Route:  # noqa: ARG002 - there are none
        return UNMATCHED[0]


class RoutingStage:
    """Every request gets a route. Where none matches, it is one that answers 404 or 405.

    A path that others may read differently matches no route: the path that is authorized is then the one that a rule of
    a proxy in front saw, and the one that an upstream will serve. ``hosts`` are the names that routes are served under;
    empty is any, and a route may declare ``any_host``. A request without Host, which HTTP/1.0 allows, names none of
    them. Raises HostNotServed.

    Paths of ``table`` are its own, whatever the method; ``proxied`` has the others, and those of further hosts.
    """

    def __init__(self, table: RouteTable, hosts: Iterable[str] = (), proxied: ProxiedRoutes | None = None) -> None:
        self._table = table
        self._hosts = frozenset(host_name(each.encode()) for each in hosts)
        self._proxied = proxied or NoProxiedRoutes()

    def __call__(self, request: RequestContext) -> None:
        scope = request.scope
        route, values = self.find(request, scope["method"])
        request.route = route
        if values:
            scope["path_params"] = dict(zip(parameters_of(route.template), values, strict=True))

    def find(self, request: RequestContext, method: str) -> Found:
        """The route that a request like this one has with this method. Raises HostNotServed."""
        raw_path = request.scope.get("raw_path") or b""
        if (b"%" in raw_path or b"/." in raw_path) and _AMBIGUOUS.search(raw_path):
            return self._served(UNMATCHED, request)
        found = self._table.find(method, request.scope["path"])
        if not found[0].template:
            found = self._upstream(request, method, raw_path)
        elif self._hosts and not (found[0].terms.any_host or self._serves(request.fields)):
            found = self._upstream(request, method, raw_path)  # another site under our address
        return self._served(found, request) if self._hosts else found

    def _served(self, found: Found, request: RequestContext) -> Found:
        if self._hosts and not (found[0].terms.any_host or self._serves(request.fields)):
            raise HostNotServed
        return found

    def _upstream(self, request: RequestContext, method: str, raw_path: bytes) -> Found:
        """Without values: a proxied route's application reads the path itself."""
        fields, path = request.fields, request.scope["path"]
        host = fields.host
        if host is None:
            host = fields.host = host_name(fields.by_name.get(b"host", b""))
        route = self._proxied.find(method, path, host)
        if _UNUSUAL.search(raw_path) and route.method:
            if _AMBIGUOUS_TO_UPSTREAMS.search(raw_path):
                return UNMATCHED
            plain = _SLASHES.sub("/", _PARAMETERS.sub("", path))
            if _differ(route, self._proxied.find(method, plain.removesuffix("/") or "/", host)):
                return UNMATCHED  # an upstream that reads the path as the plain one would serve another route
        return route, _NO_VALUES

    def _serves(self, fields: RequestFields) -> bool:
        if fields.host_served is None:
            fields.host_served = host_name(fields.by_name.get(b"host", b"")) in self._hosts
        return fields.host_served


def _differ(route: Route, plain: Route) -> bool:
    """Whether they are of different paths: an exact route and a prefix of one path are declared side by side."""
    return route is not plain and (route.spec is None or plain.spec is None or route.spec.path != plain.spec.path)
