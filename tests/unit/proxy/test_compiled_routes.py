"""A configuration as routes: which route a request has, and what the gate asks of it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.types import ASGIApp

from gateway.problems.errors import MethodNotAllowed
from gateway.proxy.compiled import Parts, Tables, compile_routes, terms_of
from gateway.request.route import PUBLIC, Audience, Budget, Route, Terms
from gateway.routing.stage import HostNotServed, RoutingStage
from gateway.routing.table import RouteTable
from tenants.resources.errors import DeclarationError
from tenants.routes.schemas import Configuration, Method, RouteSpec
from tests.asgi import http_scope, request_context, respond_ok

pytestmark = pytest.mark.anyio

_OWN = RouteTable(
    [Route("GET", "/v1/me", Terms(PUBLIC), respond_ok), Route("GET", "/livez", Terms(PUBLIC), respond_ok)]
)
_SHOP, _API = "shop.example", "api.example"


class FixedApps:
    """Every route has the same application."""

    def parts_of(self, _spec: RouteSpec) -> Parts:
        return ()

    def make(self, _spec: RouteSpec) -> ASGIApp:
        return respond_ok


def spec_of(name: str, path: str, **fields: Any) -> RouteSpec:
    return RouteSpec.model_validate(
        {"name": name, "upstream": "echo", "path": path, "permission": "echo:use", **fields}
    )


async def compiled(*routes: RouteSpec) -> Tables:
    return await compile_routes(1, Configuration(routes=routes), FixedApps())


def _name(tables: Tables, path: str, host: str = _API, method: str = "GET", hosts: tuple[str, ...] = ()) -> str:
    """The name of the route of a request; the template of one of our own, or the code of the refusal."""
    fields = ((b"host", host.encode()),)
    request = request_context(http_scope(method, unquote(path), raw_path=path.encode(), headers=fields))
    try:
        RoutingStage(_OWN, hosts, tables)(request)
    except HostNotServed:
        return "host_not_served"
    route = request.route
    assert route is not None
    if route.spec is not None:
        return route.spec.name
    return route.template if route.method else "refused"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/echo", "echo"),
        ("/echo/", "echo"),
        ("/echo/a/b", "echo"),
        ("/echoes", "root"),
        ("/echo/admin", "admin"),
        ("/echo/admin/x", "echo"),
        ("/orders/7", "order"),
        ("/orders/7/lines/2", "order"),
        ("/orders/open", "open"),
        ("/orders/open/x", "order"),
        ("/orders/", "root"),
        ("/echo/admin/x/", "echo"),
        ("/", "root"),
        ("/v1/me", "/v1/me"),
        ("/v1/me/x", "root"),
        # PX6: what an upstream may read as a path of another route has none.
        ("/echo/%61dmin", "admin"),
        ("/echo//admin", "refused"),
        ("//echo/admin", "refused"),
        ("/echo/admin;v=1", "refused"),
        ("/echo/x/..;/admin", "refused"),
        ("/echo/%252e%252e/admin", "refused"),
        ("/echo%2fadmin", "refused"),
        ("/echo/../echo/admin", "refused"),
        ("/echo/admin%00", "refused"),
        ("/echo/a\\admin", "refused"),
        ("/echo/fetch//x", "echo"),
        ("/echo/a;v=1/b", "echo"),
        ("/echo/a%20b", "echo"),
        ("/echo/admin/", "refused"),
        ("/echo/a/", "echo"),
        ("/docs", "index"),
        ("/docs/", "docs"),
        ("/docs/a/", "docs"),
    ],
)
async def test_a_literal_is_before_a_parameter_and_that_before_the_rest(path: str, name: str) -> None:
    """PX6: the route is that of the one path which the upstream will serve."""
    tables = await compiled(
        spec_of("root", "/"),
        spec_of("echo", "/echo"),
        spec_of("admin", "/echo/admin", match="exact"),
        spec_of("order", "/orders/{id}"),
        spec_of("open", "/orders/open", match="exact"),
        spec_of("docs", "/docs"),
        spec_of("index", "/docs", match="exact"),
    )
    assert _name(tables, path) == name


@pytest.mark.parametrize(
    ("host", "path", "method", "name"),
    [
        (_SHOP, "/echo/x", "GET", "shop"),
        ("SHOP.example:8443", "/echo", "GET", "shop"),
        ("shop.example.", "/echo", "GET", "shop"),
        (_API, "/echo/x", "GET", "echo"),
        (_SHOP, "/echo/x", "POST", "echo"),  # the shop's route is for GET alone
        (_SHOP, "/echo/x", "DELETE", "refused"),
        (_SHOP, "/echo/x", "HEAD", "shop"),
        (_SHOP, "/shop", "GET", "only"),
        (_API, "/shop", "GET", "refused"),
        ("other.example", "/shop", "GET", "refused"),
        (_SHOP, "/v1/me", "GET", "/v1/me"),  # our own are first under any host
        (_SHOP, "/v1/me", "POST", "refused"),
    ],
)
async def test_routes_of_the_host_are_before_those_of_any_host(host: str, path: str, method: str, name: str) -> None:
    """By host, path and method; our own paths are never taken."""
    tables = await compiled(
        spec_of("echo", "/echo", methods=["GET", "POST"]),
        spec_of("shop", "/echo", hosts=[_SHOP], methods=["GET"]),
        spec_of("only", "/shop", hosts=[_SHOP, "www.shop.example"]),
        spec_of("me", "/v1/me"),
    )
    assert _name(tables, path, host, method) == name


@pytest.mark.parametrize(
    ("host", "path", "name"),
    [
        (_API, "/v1/me", "/v1/me"),
        (_API, "/echo", "echo"),
        (_SHOP, "/shop/x", "only"),
        (_SHOP, "/v1/me", "theirs"),  # another site under our address
        (_SHOP, "/echo", "host_not_served"),
        (_SHOP, "/shop/..%2fx", "host_not_served"),
        ("other.example", "/echo", "host_not_served"),
        ("other.example", "/nothing", "host_not_served"),
    ],
)
async def test_hosts_of_routes_are_served_beside_those_of_the_deployment(host: str, path: str, name: str) -> None:
    """PX6: with TENANTRY_HOSTS, a route of any host is one of these hosts."""
    tables = await compiled(
        spec_of("echo", "/echo"),
        spec_of("only", "/shop", hosts=[_SHOP]),
        spec_of("theirs", "/v1/me", hosts=[_SHOP]),
    )
    assert _name(tables, path, host, hosts=(_API,)) == name


async def test_a_refusal_names_the_methods_of_all_hosts() -> None:
    """RFC 9110 section 15.5.6: those that the path has under this host."""
    tables = await compiled(
        spec_of("echo", "/echo", methods=["POST"]), spec_of("shop", "/echo", hosts=[_SHOP], methods=["GET"])
    )
    with pytest.raises(MethodNotAllowed) as refused:
        await tables.find("DELETE", "/echo", _SHOP).app({}, _unused, _unused)
    assert refused.value.allow == ("GET", "HEAD", "POST")


@pytest.mark.parametrize(
    ("fields", "permissions"),
    [
        ({"permission": "a:use"}, dict.fromkeys(Method, "a:use")),
        ({"permission": None, "permissions": {"GET": "a:read"}}, {Method.GET: "a:read"}),  # AZ1: others are refused
        (
            {"permission": "a:use", "permissions": {"GET": "a:read"}, "methods": ["GET", "PUT"]},
            {Method.GET: "a:read", Method.PUT: "a:use"},
        ),
        ({"permission": None, "access": "principal", "methods": ["GET"]}, {Method.GET: None}),
    ],
)
async def test_a_permission_is_one_of_the_method(
    fields: Mapping[str, Any], permissions: dict[Method, str | None]
) -> None:
    """AZ1: a method without a permission is served only where the route says that none is needed."""
    tables = await compiled(spec_of("a", "/a", **fields))
    routes = tables.routes["a"].by_method
    assert {Method(method): route.terms.guard.permission for method, route in routes.items()} == permissions
    assert {route.terms.guard.audience for route in routes.values()} == {Audience.TENANTS}


def test_terms_follow_from_the_route() -> None:
    """TH11, AZ1: charged to the plan, and a public route to the source of the request."""
    terms = terms_of(spec_of("a", "/a", cost=3, feature="exports", body_limit=77, browsers=True), Method.POST)
    assert (terms.cost, terms.feature, terms.body_limit, terms.browsers) == (3, "exports", 77, True)
    assert (terms.query, terms.budget, terms.per_source, terms.any_host) == (None, Budget.PLAN, None, False)
    public = terms_of(spec_of("a", "/a", access="public", permission=None, hosts=[_SHOP]), Method.GET)
    assert (public.guard, public.any_host) == (PUBLIC, True)
    assert public.per_source is not None


async def test_two_routes_for_the_same_requests_are_refused() -> None:
    """Which one answers must not depend on their order."""
    with pytest.raises(DeclarationError):
        await compiled(spec_of("a", "/x/{id}"), spec_of("b", "/x/{other}"))


async def _unused(*_: object) -> Any: ...
