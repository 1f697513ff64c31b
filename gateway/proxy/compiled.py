"""A configuration as routes of the gate: their terms, their applications, and the tables in which they are found."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp

from gateway.authorization.guards import public
from gateway.request.host import host_name
from gateway.request.route import Audience, Guard, Quota, Route, Terms
from gateway.routing.table import RouteTable, find_in
from tenants.routes.permissions import permission_for
from tenants.routes.schemas import Access, Configuration, Method, RouteSpec

# Of one source address to one public route. Pages load many things at once; a scanner wants more.
PUBLIC_QUOTA = Quota(requests=600, seconds=60)

MakeApp = Callable[[RouteSpec], ASGIApp]


@dataclass(frozen=True, slots=True)
class CompiledRoute:
    """A route as it is configured, and what serves it, by method."""

    spec: RouteSpec
    app: ASGIApp
    by_method: Mapping[str, Route]


@dataclass(frozen=True, slots=True)
class Tables:
    """One version of all proxied routes. Immutable: requests see one version or another, never a part of each."""

    number: int  # of the version; 0 is none
    routes: Mapping[str, CompiledRoute]  # by name
    any_host: RouteTable
    by_host: Mapping[str, tuple[RouteTable, RouteTable]]  # the host's own routes, then those of any host

    def find(self, method: str, path: str, host: str) -> Route:
        """The route; without one a route that answers 404 or 405."""
        tables = self.by_host.get(host)
        return (self.any_host.find(method, path) if tables is None else find_in(tables, method, path))[0]


NO_ROUTES = Tables(0, {}, RouteTable(()), {})


def compile_routes(
    number: int, configuration: Configuration, make_app: MakeApp, previous: Tables = NO_ROUTES
) -> Tables:
    """The tables of a version. What has not changed stays the same object, so that its caches and counts go on.

    Raises DeclarationError for routes that answer the same requests.
    """
    specs = configuration.routes
    routes = {each.name: _compiled(each, make_app(each), previous.routes.get(each.name)) for each in specs}
    hosted: defaultdict[str | None, list[CompiledRoute]] = defaultdict(list)
    for each in routes.values():
        for host in {host_of(host) for host in each.spec.hosts} or {None}:
            hosted[host].append(each)
    any_host = _table(hosted.pop(None, ()))
    by_host = {host: (_table(found), any_host) for host, found in hosted.items() if host is not None}
    return Tables(number, routes, any_host, by_host)


def host_of(text: str) -> str:
    """The host of a route in the form in which it is compared with that of a request."""
    return host_name(text.encode())


def terms_of(spec: RouteSpec, method: Method) -> Terms:
    """What the gate asks of requests with this method to the route."""
    guard = _guard(spec, method)
    return Terms(
        guard,
        cost=spec.cost,
        query=None,
        body_limit=spec.body_limit,
        idempotent=False,
        streams=True,
        any_host=bool(spec.hosts),
        browsers=spec.browsers,
        feature=spec.feature,
        per_source=PUBLIC_QUOTA if guard.audience is Audience.EVERYBODY else None,
    )


def templates_of(spec: RouteSpec) -> tuple[str, ...]:
    """Where the route answers. The last one names it."""
    if spec.match == "exact":
        return (spec.path,)
    below = f"{spec.path.rstrip('/')}/{{rest:path}}"
    return (below,) if spec.path == "/" else (spec.path, below)


def _guard(spec: RouteSpec, method: Method) -> Guard:
    if spec.access is Access.PUBLIC:
        return public
    return Guard(Audience.TENANTS, permission_for(spec, method))


def _is_served(spec: RouteSpec, method: Method) -> bool:
    """Whether it is said who may use the method (AZ1)."""
    return spec.access is not Access.PERMISSION or permission_for(spec, method) is not None


def _compiled(spec: RouteSpec, app: ASGIApp, previous: CompiledRoute | None) -> CompiledRoute:
    if previous is not None and previous.spec == spec and previous.app is app:
        return previous
    template = templates_of(spec)[-1]
    methods = (each for each in spec.methods or Method if _is_served(spec, each))
    routes = (Route(each.value, template, terms_of(spec, each), app) for each in methods)
    return CompiledRoute(spec, app, {each.method: each for each in routes})


def _table(routes: Iterable[CompiledRoute]) -> RouteTable:
    table = RouteTable(())
    for template, route in _placed(routes):
        table.place(template, route)
    return table


def _placed(routes: Iterable[CompiledRoute]) -> Iterator[tuple[str, Route]]:
    for each in routes:
        for template in templates_of(each.spec):
            yield from ((template, route) for route in each.by_method.values())


