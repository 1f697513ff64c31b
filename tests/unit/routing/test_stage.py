"""``RoutingStage``: which Hosts and which spellings of a path reach a route."""

from urllib.parse import unquote

import pytest
from starlette.types import Scope

from gateway.request.host import host_name
from gateway.request.route import PUBLIC, Route, Terms
from gateway.routing.stage import HostNotServed, RoutingStage
from gateway.routing.table import RouteTable
from tests.asgi import Header, http_scope, request_context, respond_ok

_TABLE = RouteTable(
    [
        Route("GET", "/operator/v1/tenants", Terms(PUBLIC), respond_ok),
        Route("GET", "/v1/contacts/{id}", Terms(PUBLIC), respond_ok),
        Route("GET", "/echo/{rest:path}", Terms(PUBLIC), respond_ok),
        Route("GET", "/livez", Terms(PUBLIC, any_host=True), respond_ok),
    ]
)


def _template(raw_path: str) -> str | None:
    """The template of the route that a server's scope of this path is given."""
    request = request_context(http_scope(path=unquote(raw_path), raw_path=raw_path.encode()))
    RoutingStage(_TABLE)(request)
    return request.template


@pytest.mark.parametrize(
    "raw_path",
    [
        "/operator%2Fv1%2Ftenants",
        "/operator%2fv1%2Ftenants",
        "/operator/v1%2ftenants",
        "/v1/contacts/a%2Fb",
        "/v1/contacts/a%5Cb",
        "/v1/contacts/a%5cb",
        "/v1/contacts/a%2Eb",
        "/v1/contacts/%2e%2e",
        "/v1/contacts/..",
        "/v1/contacts/.",
        "/echo/../operator/v1/tenants",
        "/echo/./a",
        "/echo/.",
        "/echo/a%2Fb",
        "/echo/%2E%2e/operator/v1/tenants",
        "/x/../operator/v1/tenants",
    ],
)
def test_an_ambiguous_path_matches_no_route(raw_path: str) -> None:
    """PX6: a proxy in front may have a rule for the path that it reads there, such as one for /operator/."""
    assert _template(raw_path) is None


@pytest.mark.parametrize(
    ("raw_path", "template"),
    [
        ("/operator/v1/tenants", "/operator/v1/tenants"),
        ("/v1/cont%61cts/7", "/v1/contacts/{id}"),
        ("/v1/contacts/a%20b", "/v1/contacts/{id}"),
        ("/v1/contacts/a%252Fb", "/v1/contacts/{id}"),
        ("/operator%252Fv1%252Ftenants", None),
        ("/v1/contacts/a.b", "/v1/contacts/{id}"),
        ("/v1/contacts/.a", "/v1/contacts/{id}"),
        ("/v1/contacts/...", "/v1/contacts/{id}"),
        ("/echo/a..b/.c/d.", "/echo/{rest:path}"),
        ("/echo/a//b", "/echo/{rest:path}"),
    ],
)
def test_other_encodings_and_dots_within_a_segment_are_its_text(raw_path: str, template: str | None) -> None:
    """PX6: an encoding is decoded once."""
    assert _template(raw_path) == template


def _is_served(hosts: list[str], path: str, *headers: Header) -> bool:
    scope: Scope = http_scope(path=path, headers=headers)
    try:
        RoutingStage(_TABLE, hosts)(request_context(scope))
    except HostNotServed:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "served"),
    [
        (b"gateway.test", True),
        (b"GATEWAY.test:8000", True),
        (b"gateway.test.", True),
        (b"Gateway.Test.:443", True),
        (b"[::1]", True),
        (b"[::1]:8000", True),
        (b"absolute.test", True),
        (b"gateway.test..", False),
        (b"other.test", False),
        (b"gateway.test.other.test", False),
        (b"127.0.0.1", False),
        (b"", False),
    ],
)
def test_only_configured_hosts_are_served(host: bytes, *, served: bool) -> None:
    """PX5: with or without port and final dot, in any case; links built from a forged Host would lead elsewhere."""
    hosts = ["Gateway.test", "[::1]", "absolute.test."]
    assert _is_served(hosts, "/v1/contacts/7", (b"host", host)) is served
    assert _is_served(hosts, "/unknown", (b"host", host)) is served
    assert _is_served([], "/v1/contacts/7", (b"host", host))


def test_a_route_may_be_served_under_any_host_or_none() -> None:
    """OP7: probes ask by the address of a pod, HAProxy sends HTTP/1.0 without Host."""
    for path, any_host in (("/livez", True), ("/v1/contacts/7", False)):
        assert _is_served(["gateway.test"], path, (b"host", b"10.0.0.7:8000")) is any_host
        assert _is_served(["gateway.test"], path) is any_host
        assert _is_served([], path)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"A.test", "a.test"),
        (b"a.test.:80", "a.test"),
        (b"[2001:DB8::1]:80", "[2001:db8::1]"),
        (b"[::1]", "[::1]"),
        (b"", ""),
        (b".", ""),
    ],
)
def test_the_name_of_a_host(value: bytes, name: str) -> None:
    """RFC 9110 section 4.2.3."""
    assert host_name(value) == name
