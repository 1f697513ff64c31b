"""Every route says who may call it, and reads its body strictly (AZ1, DA1)."""

from collections.abc import Iterator

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Match

from gateway.app import _api
from gateway.authorization.guards import public
from gateway.problems.documents import Problems
from gateway.routing.routes import RouteUnguarded, guard_of, routes_of
from gateway.routing.strict_route import StrictRoute
from gateway.routing.table import RouteTable
from gateway.services import build_services
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.gateways import settings_for

_MIGRATIONS = "/operator/v1/migrations"
_NOWHERE = "postgresql://nobody@127.0.0.1:1/none"  # building a gateway connects to nothing


@pytest.fixture(scope="module")
def api() -> FastAPI:
    return _built()


def _built() -> FastAPI:
    services = build_services(settings_for(DatabaseUrls(_NOWHERE, _NOWHERE, _NOWHERE, "none")))
    return _api(services, Problems("http://gateway.test"))


def _unguarded(app: FastAPI) -> Iterator[str]:
    for route in iter_route_contexts(app.routes):
        try:
            guard_of(route)
        except RouteUnguarded as error:
            yield str(error)


def test_every_route_has_exactly_one_guard(api: FastAPI) -> None:
    """AZ1: default deny; what is open to everybody says so by name."""
    assert list(_unguarded(api)) == []


def test_a_route_without_a_guard_is_found_however_it_is_added() -> None:
    """The rule above can fail: FastAPI nests included routers, and a mount is no route."""
    app, outer, inner = FastAPI(openapi_url=None, docs_url=None, redoc_url=None), APIRouter(), APIRouter()
    inner.add_api_route("/open", lambda: None)
    inner.add_api_route("/good", lambda: None, dependencies=[Depends(public)])
    outer.include_router(inner, prefix="/inner")
    app.include_router(outer, prefix="/outer")
    app.mount("/mounted", FastAPI())
    assert [each.split()[0] for each in _unguarded(app)] == ["/outer/inner/open", "/mounted"]
    with pytest.raises(RouteUnguarded):
        list(routes_of(app))


def test_the_document_and_the_routes_tell_of_the_same_paths(api: FastAPI) -> None:
    """The walk above misses nothing: what OpenAPI shows was walked; what was walked is shown, or hidden on purpose."""
    document = {(path, verb.upper()) for path, verbs in api.openapi()["paths"].items() for verb in verbs}
    shown: set[tuple[str, str]] = set()
    hidden: set[tuple[str, str]] = set()
    for route in iter_route_contexts(api.routes):
        for method in route.methods or ():
            (shown if route.include_in_schema else hidden).add((str(route.path_format), method))
    assert document == shown
    assert {path for path, _ in hidden} == {
        "/.well-known/security.txt",
        "/docs",
        "/docs/assets/start.js",
        "/docs/assets/{name}",
        "/metrics",
        "/openapi.json",
        "/problems",
        "/problems/{code}",
    }


def test_the_document_says_who_may_call_what(api: FastAPI) -> None:
    """AZ1: and that every other answer is a problem."""
    for path, verbs in api.openapi()["paths"].items():
        for verb, operation in verbs.items():
            assert "security" in operation, (verb, path)
            assert operation["responses"]["default"]["content"].keys() == {"application/problem+json"}, (verb, path)
            assert "422" not in operation["responses"], (verb, path)


def test_the_document_names_if_match_wherever_it_is_honoured(api: FastAPI) -> None:
    """DA4: who never reads of it overwrites what somebody else has just changed."""
    conditional = {
        (verb, path)
        for path, verbs in api.openapi()["paths"].items()
        for verb, operation in verbs.items()
        if "If-Match" in {each["name"] for each in operation.get("parameters", ()) if each["in"] == "header"}
    }
    assert {each for each in conditional if each[1].startswith("/operator/")} == {
        ("patch", "/operator/v1/plans/{code}"),
        ("patch", "/operator/v1/tenants/{tenant_id}"),
        ("delete", "/operator/v1/tenants/{tenant_id}"),
    }
    changing = {(verb, path) for path, verbs in api.openapi()["paths"].items() for verb in verbs} - conditional
    assert {verb for verb, _ in changing} == {"get", "post"}, "no PATCH and no DELETE is without it"


def test_what_is_read_with_a_tag_says_so(api: FastAPI) -> None:
    """DA4: where If-Match takes its tag from, in every document of one object."""
    tagged = set()
    for path, verbs in api.openapi()["paths"].items():
        read = verbs.get("get", {})
        if "If-None-Match" in {each["name"] for each in read.get("parameters", ())}:
            assert "ETag" in read["responses"]["200"]["headers"], path
            assert "ETag" in read["responses"]["304"]["headers"], path
            tagged.add(path)
    assert {path for path in api.openapi()["paths"] if path.endswith("}")} | {f"{_MIGRATIONS}/control"} == tagged


def test_the_document_says_which_tenantry_it_is_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ours, and not of the framework's default, which happens to be our first version too."""
    monkeypatch.setattr("gateway.app.VERSION", "9.8.7")
    assert _built().openapi()["info"]["version"] == "9.8.7"


def test_every_route_that_takes_a_body_reads_it_strictly(api: FastAPI) -> None:
    """DA1."""
    lax = [
        f"{route.methods} {route.path}"
        for route in iter_route_contexts(api.routes)
        if getattr(route, "body_field", None) is not None and not isinstance(route.original_route, StrictRoute)
    ]
    assert lax == []


def test_the_gate_and_fastapi_agree_on_every_route(api: FastAPI) -> None:
    """AZ1: the route whose guard the gate asks is the one that FastAPI calls, also where several templates match."""
    table = RouteTable(routes_of(api))
    for route in iter_route_contexts(api.routes):
        path = str(route.path_format)
        for method in route.methods or ():
            given = path.replace("{", "a").replace("}", "z")
            assert table.find(method, given)[0].template == path
            first = next(
                each
                for each in iter_route_contexts(api.routes)
                if each.matches({"type": "http", "method": method, "path": given, "root_path": "", "headers": []})[0]
                is Match.FULL
            )
            assert first.path_format == path
