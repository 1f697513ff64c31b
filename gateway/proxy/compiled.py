"""A configuration as routes of the gate: their terms, their applications, and the tables in which they are found."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.authorization.guards import public
from gateway.request.host import host_name
from gateway.request.route import Audience, Guard, Quota, Route, Terms
from gateway.routing.table import RouteTable, find_in
from tenants.errors import Unavailable
from tenants.routes.permissions import permission_for
from tenants.routes.schemas import Access, Configuration, Method, RouteSpec

# Of one source address to one public route: a page with many parts loads, a scanner is slowed down.
PUBLIC_QUOTA = Quota(requests=600, seconds=60)
_AT_ONCE = 20  # routes that are compiled before other tasks run: 1 ms

Parts = tuple[object, ...]


class Apps(Protocol):
    """The applications of the routes of one configuration."""

    def parts_of(self, spec: RouteSpec) -> Parts:
        """What the application is made of beside the route. With equal parts it stays in the next version."""
        ...

    def make(self, spec: RouteSpec) -> ASGIApp:
        """Raises OSError and ValueError for what cannot be used on this worker, such as a file that is missing."""
        ...


class RouteUnavailable(Unavailable):
    message = "The route cannot be served at present: a part of its configuration is missing. Retry later."


@dataclass(frozen=True, slots=True)
class CompiledRoute:
    """A route as it is configured, and what serves it, by method."""

    spec: RouteSpec
    parts: Parts
    by_method: Mapping[str, Route]
    fault: str | None = None  # why this worker answers 503 in its place


@dataclass(frozen=True, slots=True)
class Tables:
    """One version of all proxied routes. Immutable: a request sees one version or another, never a part of each."""

    number: int  # of the version; 0 is none
    routes: Mapping[str, CompiledRoute]  # by name
    any_host: RouteTable
    by_host: Mapping[str, tuple[RouteTable, RouteTable]]  # the host's own routes, then those of any host

    def find(self, method: str, path: str, host: str) -> Route:
        """The route; without one a route that answers 404 or 405."""
        tables = self.by_host.get(host)
        return (self.any_host.find(method, path) if tables is None else find_in(tables, method, path))[0]

    @property
    def faults(self) -> dict[str, str]:
        """Why some routes answer 503 on this worker, by name."""
        return {name: each.fault for name, each in self.routes.items() if each.fault is not None}


NO_ROUTES = Tables(0, {}, RouteTable(()), {})


async def compile_routes(number: int, configuration: Configuration, apps: Apps, previous: Tables = NO_ROUTES) -> Tables:
    """The tables of a version. What has not changed stays the same object, so that caches and counts go on.

    Other tasks run meanwhile (LD1). Raises DeclarationError for routes that answer the same requests.
    """
    routes: dict[str, CompiledRoute] = {}
    for at, spec in enumerate(configuration.routes):
        routes[spec.name] = _compiled(spec, apps, previous.routes.get(spec.name))
        if at % _AT_ONCE == 0:
            await asyncio.sleep(0)
    hosted: defaultdict[str | None, list[CompiledRoute]] = defaultdict(list)
    for each in routes.values():
        hosts: Iterable[str | None] = {host_of(host) for host in each.spec.hosts}
        for host in hosts or (None,):
            hosted[host].append(each)
    any_host = await _table(hosted.pop(None, ()))
    by_host = {host: (await _table(found), any_host) for host, found in hosted.items() if host is not None}
    return Tables(number, routes, any_host, by_host)


def host_of(text: str) -> str:
    """The host of a route in the form in which it is compared with that of a request."""
    return host_name(text.encode())


def terms_of(spec: RouteSpec, method: Method) -> Terms:
    """What the gate asks of requests with this method to the route."""
    guard = _guard(spec, method)
    is_public = guard.audience is Audience.EVERYBODY
    return Terms(
        guard,
        cost=spec.cost,
        query=None,
        body_limit=spec.body_limit,
        idempotent=False,
        streams=True,
        any_host=bool(spec.hosts),
        browsers=spec.browsers,
        feature=None if is_public else spec.feature,
        per_source=PUBLIC_QUOTA if is_public else None,
    )


def templates_of(spec: RouteSpec) -> tuple[str, ...]:
    """Where the route answers. The last one names it."""
    if spec.match == "exact":
        return (spec.path,)
    below = f"{spec.path.rstrip('/')}/{{rest:path}}"
    return (below,) if spec.path == "/" else (spec.path, below)


def unavailable(fault: str) -> ASGIApp:
    """In the place of an application that cannot be made."""

    async def refuse(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RouteUnavailable(detail=fault)

    return refuse


def _compiled(spec: RouteSpec, apps: Apps, previous: CompiledRoute | None) -> CompiledRoute:
    parts, fault = apps.parts_of(spec), None
    if previous is not None and previous.spec == spec and previous.parts == parts and previous.fault is None:
        return previous
    try:
        app = apps.make(spec)
    except (OSError, ValueError) as error:
        fault = f"{type(error).__name__}: {error}"
        app = unavailable(fault)
    template = templates_of(spec)[-1]
    methods = (each for each in spec.methods or Method if _is_served(spec, each))
    routes = (Route(each.value, template, terms_of(spec, each), app, spec) for each in methods)
    return CompiledRoute(spec, parts, {each.method: each for each in routes}, fault)


def _guard(spec: RouteSpec, method: Method) -> Guard:
    if spec.access is Access.PUBLIC:
        return public
    return Guard(Audience.TENANTS, permission_for(spec, method))


def _is_served(spec: RouteSpec, method: Method) -> bool:
    """Whether it is said who may use the method (AZ1)."""
    return spec.access is not Access.PERMISSION or permission_for(spec, method) is not None


async def _table(routes: Iterable[CompiledRoute]) -> RouteTable:
    table = RouteTable(())
    for at, each in enumerate(sorted(routes, key=_is_prefix)):
        *above, template = templates_of(each.spec)
        for route in each.by_method.values():
            table.place(template, route)
            for path in above:
                table.place(path, route, yields=True)  # an exact route has precedence
        if at % _AT_ONCE == 0:
            await asyncio.sleep(0)
    return table


def _is_prefix(route: CompiledRoute) -> bool:
    return route.spec.match == "prefix"
