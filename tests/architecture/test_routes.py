"""Every route declares its terms, and gate, runner and OpenAPI document apply the same ones (AZ1, AZ3, DA1)."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from fastapi import APIRouter as PlainRouter
from fastapi import FastAPI
from starlette.responses import Response
from starlette.routing import Mount, WebSocketRoute

from gateway.authorization.guards import (
    public,
    requires,
    requires_operator,
    requires_operator_read,
    requires_person,
    requires_principal,
    requires_verifier,
    signed_or_operator,
)
from gateway.authorization.stage import AuthorizationStage
from gateway.openapi.editions import EDITIONS
from gateway.request.route import Audience, ErrorFormat, Route, Terms
from gateway.routing.api_router import APIRouter
from gateway.routing.bounds import LARGEST_DOCUMENT, NO_BODY_LIMIT
from gateway.routing.routes import api_routes, routes_of
from gateway.routing.table import RouteTable
from gateway.routing.terms import terms
from gateway.services import Services
from tenants.credentials import CredentialMissing
from tenants.database.names import tenant_role, tenant_schema
from tenants.errors import Forbidden
from tenants.identifiers import TenantId
from tenants.principal import Operator, OperatorRole, Principal, PrincipalKind, TenantRef, TenantStatus
from tenants.resources.errors import DeclarationError
from tests.asgi import http_scope, request_context
from tests.fixtures.unconnected import unconnected_api, unconnected_services

_LEAKED_KEYS = "/operator/v1/leaked-keys"
_ROUTE_CONFIGURATION = "/operator/v1/route-configuration"
_MIGRATIONS = "/operator/v1/migrations"
_VERIFY = "/operator/v1/verify"
_OF_VERIFIERS = {_VERIFY, f"{_VERIFY}/batch", "/access/v1/evaluation", "/access/v1/evaluations"}
_ID = TenantId(uuid4())
_TENANT = TenantRef(_ID, "acme", TenantStatus.ACTIVE, tenant_schema(_ID), tenant_role(_ID), "scale")
_LARGEST_PUBLIC = 16_384  # bytes
_MEDIA_TYPES = {
    ErrorFormat.PROBLEM: "application/problem+json",
    ErrorFormat.SCIM: "application/scim+json",
    ErrorFormat.OAUTH: "application/json",
}
_HIDDEN = {
    "/",
    "/.well-known/security.txt",
    "/docs",
    "/docs/assets/start.js",
    "/docs/assets/{name}",
    "/openapi.json",
    "/operator/docs",
    "/operator/openapi.json",
    "/problems",
    "/problems/{code}",
}
_PUBLIC = _HIDDEN | {
    "/.well-known/authzen-configuration",
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/livez",
    "/metrics",
    "/readyz",
    *(
        f"/v1/auth/{each}"
        for each in (
            *("email/verify", "invitations/accept", "invitations/renew", "login", "logout"),
            *("password/forgot", "password/reset", "refresh", "signup", "sso/callback", "sso/start", "sso/token"),
            *("mfa/totp", "mfa/totp/confirm", "mfa/verify", "passkeys/login", "passkeys/options"),
            "token",
        )
    ),
    "/webhooks/stripe",
}


_SESSION = "/v1/auth/sessions/{session_id}"  # has no version: nothing in it is changed, it only ends
# A person's own, whatever their role; an API key is no person.
_OF_PEOPLE = {_SESSION, "/v1/auth/sessions", "/v1/auth/password/change", "/v1/auth/switch", "/v1/auth/tenants"}
_OF_PEOPLE |= {
    "/v1/auth/mfa",
    "/v1/auth/mfa/recovery-codes",
    "/v1/auth/mfa/totp",
}  # enrolling is part of a sign-in, too
_OF_PEOPLE |= {f"/v1/auth/passkeys{each}" for each in ("", "/registration", "/{passkey_id}")}


@pytest.fixture(scope="module")
def api(services: Services) -> FastAPI:
    return unconnected_api(services)


@pytest.fixture(scope="module")
def routes(api: FastAPI) -> list[Route]:
    return list(routes_of(api))


@pytest.fixture(scope="module")
def services() -> Services:
    return unconnected_services()


@pytest.fixture(scope="module")
def paths(api: FastAPI) -> dict[str, Any]:
    """Of both documents."""
    documents = api.state.documents
    return {path: each for edition in EDITIONS for path, each in documents.describe(edition)["paths"].items()}


def _app_of(*routers: PlainRouter) -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    for router in routers:
        app.include_router(router)
    return app


async def _endpoint() -> Response:
    return Response()


def test_every_route_declares_its_terms(routes: list[Route]) -> None:
    """AZ1: default deny; what is open to everybody is listed here and declared as public there."""
    assert {route.template for route in routes if route.terms.guard == public} == _PUBLIC
    assert all(isinstance(route.terms, Terms) for route in routes)
    assert {route.template for route in routes if route.terms.authenticates} == {"/v1/auth/token"}


def test_an_endpoint_without_terms_cannot_be_registered() -> None:
    """AZ1: the start fails and names the endpoint."""
    with pytest.raises(DeclarationError, match=r"Route /open.*\n.*_endpoint has no terms; write @terms"):
        APIRouter().add_api_route("/open", _endpoint)


def test_no_route_escapes_its_terms() -> None:
    """AZ1: a plain FastAPI route, a mount and a WebSocket stop the start, at any depth of nesting."""

    async def accept(_socket: object) -> None: ...

    plain = PlainRouter()
    plain.add_api_route("/open", _endpoint)
    mounted, socket = PlainRouter(routes=[Mount("/mounted", FastAPI())]), PlainRouter()
    socket.routes.append(WebSocketRoute("/socket", accept))
    for router, path in ((plain, "/outer/open"), (mounted, "/outer/mounted"), (socket, "/outer/socket")):
        outer = APIRouter(prefix="/outer")
        outer.include_router(router)
        with pytest.raises(DeclarationError, match=rf"Route {path}.*\n.*without terms"):
            list(routes_of(_app_of(outer)))


def test_included_routers_keep_their_terms() -> None:
    """Prefixes of nested routers are part of the template."""
    inner, outer = APIRouter(prefix="/inner"), PlainRouter(prefix="/outer")
    inner.add_api_route("/{id}", terms(requires("contacts:read"), cost=3)(_own()), methods=["POST"])
    outer.include_router(inner)
    (route,) = routes_of(_app_of(outer))
    assert (route.method, route.template) == ("POST", "/outer/inner/{id}")
    assert (route.terms.guard, route.terms.cost) == (requires("contacts:read"), 3)


def _own() -> Callable[..., Any]:
    async def endpoint() -> Response:
        return Response()

    return endpoint


@pytest.mark.parametrize("path", ["/a/{name}.json", "/{rest:path}/a", "/{id:int}", "/a{id}"])
def test_a_path_that_the_table_cannot_match_is_refused(path: str) -> None:
    """Else the route would be declared and never found."""
    router = APIRouter()
    router.add_api_route(path, terms(public)(_own()))
    with pytest.raises(DeclarationError, match="a whole segment"):
        list(routes_of(_app_of(router)))


def test_every_route_has_a_body_bound(api: FastAPI) -> None:
    """LD1, DA2: a document is at most 2 MiB, an anonymous one 16 KiB; what is signed is read, then verified."""
    raw = {"/webhooks/stripe", "/v1/auth/token", _LEAKED_KEYS, *_OF_VERIFIERS}
    for context, route in api_routes(api.routes):
        limit = route.terms.body_limit or 0
        if context.body_field is None:
            assert limit == NO_BODY_LIMIT or context.path in raw, context.path
        elif route.terms.guard == public:
            assert 0 < limit <= _LARGEST_PUBLIC, context.path
        else:
            assert 0 < limit <= LARGEST_DOCUMENT, context.path


def test_permissions_of_routes_are_in_the_catalogue(services: Services, routes: list[Route]) -> None:
    """AZ1: a permission that no role can hold would close its route to everybody."""
    known = {permission.name for permission in services.authorizer.permissions}
    assert {route.terms.guard.permission for route in routes} - {None} <= known


def test_the_documents_and_the_routes_have_the_same_paths(paths: dict[str, Any], routes: list[Route]) -> None:
    """What OpenAPI shows is served; what is served is shown, or hidden on purpose."""
    document = {(path, verb.upper()) for path, verbs in paths.items() for verb in verbs}
    served = {(route.template, route.method) for route in routes}
    assert document <= served
    assert {path for path, _ in served - document} == _HIDDEN


def _operations(paths: dict[str, Any], routes: list[Route]) -> Iterator[tuple[Route, dict[str, Any]]]:
    for route in routes:
        if route.template not in _HIDDEN:
            yield route, paths[route.template][route.method.lower()]


def test_the_document_says_who_may_call_what_at_which_cost(paths: dict[str, Any], routes: list[Route]) -> None:
    """AZ1: from the terms that the gate applies; every error is a problem document."""
    for route, operation in _operations(paths, routes):
        guard = route.terms.guard
        assert (operation["security"] == []) is (guard == public), route.template
        assert operation.get("x-permission") == guard.permission, route.template
        cost = route.terms.cost if guard.audience is Audience.TENANTS else None
        assert operation.get("x-cost") == cost, route.template
        errors = [each for status, each in operation["responses"].items() if status[0] not in "23"]
        assert all([*one["content"]] == [_MEDIA_TYPES[route.terms.error_format]] for one in errors)


def test_guards_match_their_paths(routes: list[Route]) -> None:
    """AZ3: operator routes are for operators alone, and no other route is; what only reads is open to support."""
    for route in routes:
        if route.template in _OF_VERIFIERS:
            assert route.terms.guard == requires_verifier, route.template
        elif route.template.startswith("/operator/v1/"):
            expected = requires_operator_read if route.method == "GET" else requires_operator
            expected = signed_or_operator if route.template == _LEAKED_KEYS else expected
            assert route.terms.guard == expected, route.template
        else:
            assert route.terms.guard.audience is not Audience.OPERATORS, route.template
    assert {route.template for route in routes if route.terms.guard == requires_principal} == {"/v1/me"}
    assert {route.template for route in routes if route.terms.guard == requires_person} == _OF_PEOPLE


_ROLES = ("owner", "admin", "member", "viewer")
_OPERATORS = {f"operator {role}": role for role in OperatorRole}
_PEOPLE = {f"person {role}": role for role in _ROLES}
_CALLERS = ("nobody", *_OPERATORS, *_ROLES, *_PEOPLE)


def _may_call(caller: str, route: Route) -> bool:
    """Written by hand, so that it can disagree with terms and policy."""
    path = route.template
    if path in _PUBLIC and not (path in _OF_PEOPLE and route.method == "DELETE"):
        return True
    if path.startswith("/operator/") or path in _OF_VERIFIERS:
        signs = path == _LEAKED_KEYS and caller == "nobody"  # the endpoint verifies the signature
        signs = signs or (path in _OF_VERIFIERS and caller == "operator verifier")
        return signs or caller == "operator admin" or (caller == "operator support" and route.method == "GET")
    if path in _OF_PEOPLE:
        return caller in _PEOPLE
    caller = _PEOPLE.get(caller, caller)
    if path in {"/v1/me", "/v1/decisions/explain"}:  # which asks for a permission when the body names somebody else
        return caller in _ROLES
    managed = {"tenant", "api-keys", "usage", "members", "invitations", "roles", "permissions", "audit-events"}
    managed |= {"scim", "sso", "v2", "workload-rules"}
    if path.split("/")[2] in managed:
        return caller in {"owner", "admin"}
    return caller in (_ROLES if route.method == "GET" else {"owner", "admin", "member"})


@pytest.mark.parametrize("caller", _CALLERS)
def test_who_may_call_what_agrees_with_a_table_by_hand(caller: str, services: Services, routes: list[Route]) -> None:
    """AZ3: every route, for every kind of caller, decided by the stage that guards them."""
    stage = AuthorizationStage(services.authorizer)
    decisions = {route: _is_admitted(stage, caller, route) for route in routes}
    assert decisions == {route: _may_call(caller, route) for route in routes}


def _is_admitted(stage: AuthorizationStage, caller: str, route: Route) -> bool:
    request = request_context(http_scope(route.method, route.template))
    request.route = route
    if caller in _OPERATORS:
        request.operator = Operator(uuid4(), "staff", _OPERATORS[caller])
    elif caller in _PEOPLE:
        request.principal = Principal(PrincipalKind.USER, uuid4(), _TENANT, (_PEOPLE[caller],))
    elif caller != "nobody":
        request.principal = Principal(PrincipalKind.API_KEY, uuid4(), _TENANT, (caller,))
    try:
        stage(request)
    except (CredentialMissing, Forbidden):
        return False
    return True


def test_the_document_names_if_match_wherever_it_is_evaluated(paths: dict[str, Any]) -> None:
    """DA4: a client that does not know of it overwrites the changes of others."""
    conditional = {
        (verb, path)
        for path, verbs in paths.items()
        for verb, operation in verbs.items()
        if "If-Match" in {each["name"] for each in operation.get("parameters", ()) if each["in"] == "header"}
    }
    assert {each for each in conditional if each[1].startswith("/operator/")} == {
        ("patch", "/operator/v1/plans/{code}"),
        ("patch", "/operator/v1/tenants/{tenant_id}"),
        ("delete", "/operator/v1/tenants/{tenant_id}"),
        *((verb, f"/operator/v1/{kind}/{{name}}") for verb in ("put", "delete") for kind in ("routes", "upstreams")),
        ("put", _ROUTE_CONFIGURATION),
    }
    # They have nothing that a client changes: they can only end.
    unversioned = {("delete", path) for path in (_SESSION, "/v1/auth/mfa/totp", "/v1/members/{user_id}/mfa")}
    changing = {(verb, path) for path, verbs in paths.items() for verb in verbs} - conditional - unversioned
    assert {verb for verb, _ in changing} == {"get", "post"}, "no PATCH and no DELETE is without it"


def test_the_document_names_the_tag_of_every_object(paths: dict[str, Any]) -> None:
    """DA4: where If-Match gets its tag from."""
    tagged = set()
    for path, verbs in paths.items():
        read = verbs.get("get", {})
        if "If-None-Match" in {each["name"] for each in read.get("parameters", ())}:
            assert "ETag" in read["responses"]["200"]["headers"], path
            assert "ETag" in read["responses"]["304"]["headers"], path
            tagged.add(path)
    # One object, named by its path.
    alone = {f"{_MIGRATIONS}/control", "/v1/tenant", "/v1/scim/settings", "/v1/sso/connection", _ROUTE_CONFIGURATION}
    assert {path for path in paths if path.endswith("}")} | alone == tagged | {_SESSION}


def test_the_document_has_the_version_of_tenantry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the framework's default, which equals our first version."""
    monkeypatch.setattr("gateway.openapi.document.VERSION", "9.8.7")
    documents = unconnected_api().state.documents
    assert {documents.describe(edition)["info"]["version"] for edition in EDITIONS} == {"9.8.7"}


def test_the_table_finds_every_route_by_its_own_path(routes: list[Route]) -> None:
    """AZ1: also where several templates match: the more literal one has precedence."""
    table = RouteTable(routes)
    for route in routes:
        path = route.template.replace("{", "a").replace("}", "z")
        assert table.find(route.method, path)[0] is route
