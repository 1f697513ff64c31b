"""``RouteTable``: from method and path to a route."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.problems.errors import MethodNotAllowed
from gateway.request.route import PUBLIC, Route, Terms
from gateway.routing.table import RouteTable, parameters_of
from tenants.errors import NotFound
from tests.asgi import call, http_scope, respond_ok

pytestmark = pytest.mark.anyio

_TEMPLATES = (
    "/",
    "/v1/me",
    "/v1/contacts",
    "/v1/contacts/{id}",
    "/v1/contacts/{id}/notes",
    "/v1/contacts/export/notes",
    "/v1/contacts/export",
    "/docs/{name}",
    "/echo/{rest:path}",
    "/{anything}/last",
)


def _route(template: str, method: str = "GET") -> Route:
    return Route(method, template, Terms(PUBLIC), respond_ok)


def _table(*methods: str) -> RouteTable:
    return RouteTable(_route(template, method) for template in _TEMPLATES for method in methods or ("GET",))


@pytest.mark.parametrize(
    ("path", "template", "values"),
    [
        ("/", "/", ()),
        ("/v1/me", "/v1/me", ()),
        ("/v1/contacts/7", "/v1/contacts/{id}", ("7",)),
        ("/v1/contacts/export", "/v1/contacts/export", ()),
        ("/v1/contacts/7/notes", "/v1/contacts/{id}/notes", ("7",)),
        ("/v1/contacts/export/notes", "/v1/contacts/export/notes", ()),
        ("/docs/last", "/docs/{name}", ("last",)),
        ("/v1/last", "/{anything}/last", ("v1",)),
        ("/echo/a//b/", "/echo/{rest:path}", ("a//b/",)),
        ("/echo/", "/echo/{rest:path}", ("",)),
    ],
)
def test_a_path_finds_its_route_and_its_values(path: str, template: str, values: tuple[str, ...]) -> None:
    """A literal segment has precedence over a parameter; a branch without a match is left again."""
    route, found = _table().find("GET", path)
    assert (route.template, found) == (template, values)
    assert len(parameters_of(template)) == len(values)


@pytest.mark.parametrize("path", ["", "//", "/v1", "/v1/", "/v1/me/", "/v1//me", "/v1/contacts/", "/docs/a/b", "/echo"])
async def test_every_other_spelling_is_not_found(path: str) -> None:
    """PX6: one canonical path; an empty segment is not a value."""
    route, _ = _table().find("GET", path)
    with pytest.raises(NotFound):
        await call(route.app, http_scope())


async def test_another_method_gets_the_allowed_methods() -> None:
    """RFC 9110 section 15.5.6."""
    for path in ("/v1/me", "/v1/contacts/7", "/echo/x"):
        route, _ = _table("GET", "POST").find("DELETE", path)
        with pytest.raises(MethodNotAllowed) as refused:
            await call(route.app, http_scope())
        assert refused.value.allow == ("GET", "HEAD", "POST")
        assert route.template == _table().find("GET", path)[0].template


def test_head_finds_what_get_finds() -> None:
    table = _table()
    for path in ("/v1/me", "/v1/contacts/7", "/echo/x"):
        assert table.find("HEAD", path) == table.find("GET", path)


def test_two_routes_for_one_method_and_path_are_refused() -> None:
    """Which of them answers, and which guard applies, would depend on their order."""
    with pytest.raises(ValueError, match="already answers"):
        RouteTable([_route("/v1/contacts/{id}"), _route("/v1/contacts/{other}")])


_segments = st.lists(
    st.sampled_from(["", "v1", "me", "contacts", "export", "notes", "docs", "echo", "last", "7"]), max_size=5
)


@given(_segments)
def test_the_table_agrees_with_regular_expressions(segments: list[str]) -> None:
    """What it finds matches, and what matches is found."""
    path = "/" + "/".join(segments)
    patterns = {each: re.sub(r"\{\w+\}", "[^/]+", each.replace("{rest:path}", "(?s:.*)")) for each in _TEMPLATES}
    matching = {template for template, pattern in patterns.items() if re.fullmatch(pattern, path)}
    found = _table().find("GET", path)[0].template
    assert (found in matching) if matching else (found == "")
