"""What an upstream gets of a request, and what a client gets of an answer, on real sockets (PX3 to PX6)."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.fixtures.principals import principal_of_key
from tests.fixtures.proxied import OK, ProxiedServer, Received, ScriptedUpstream, answering, proxied, scripted
from tests.raw_http import RawClient, RawResponse, connected

_OURS = b"Tenantry-Identity, X-Forwarded-For, X-Request-Id, Via, Forwarded, Content-Length, Host"


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted() as upstream:
        yield upstream


@pytest.fixture(autouse=True)
def _plain_answer(upstream: ScriptedUpstream) -> None:
    upstream.answer = OK


@pytest.fixture(scope="module")
def gateway(upstream: ScriptedUpstream) -> Iterator[ProxiedServer]:
    with proxied(upstream) as gateway:
        yield gateway


def _exchange(gateway: ProxiedServer, lines: bytes = b"", target: bytes = b"/", method: bytes = b"GET") -> RawResponse:
    with connected(gateway.port) as client:
        client.send(b"%b %b HTTP/1.1\r\nHost: gate.test:8443\r\n%b\r\n" % (method, target, lines))
        return client.response(method.decode())


def _sent(gateway: ProxiedServer, upstream: ScriptedUpstream, lines: bytes, target: bytes = b"/") -> Received:
    assert _exchange(gateway, lines, target).status == 200
    return upstream.last


@pytest.mark.parametrize(
    "name",
    [
        *("Tenantry-Identity", "tenantry_identity", "TENANTRY.IDENTITY", "Tenantry-Anything", "Tenantry~Identity"),
        *("X_Request_Id", "x.request.id", "X_Forwarded_For", "X-Forwarded-User", "x.forwarded.host", "X-Real-IP"),
        *("RateLimit", "RateLimit-Policy", "RateLimit_Remaining", "True-Client-IP", "CF_Connecting_IP"),
        *("X_API_Key", "Proxy-Authorization", "Proxy-Connection", "Proxy", "Proxy_Anything"),
        *("Keep-Alive", "TE", "Trailer", "Upgrade", "HTTP2-Settings", "Transfer_Encoding", "Content_Length"),
        *("X-Original-URL", "X_Rewrite_URL", "X-HTTP-Method-Override", "X-Method-Override", "Cookie"),
    ],
)
def test_a_clients_field_does_not_reach_the_upstream(
    gateway: ProxiedServer, upstream: ScriptedUpstream, name: str
) -> None:
    """PX3, PX4, PX5: our own fields in every spelling, hop-by-hop fields, and fields that change path or method."""
    received = _sent(gateway, upstream, b"%b: forged-value\r\n" % name.encode())
    assert not [field for field in received.fields if "forged-value" in field[1]]


@pytest.mark.parametrize("lines", [b"Connection: %b\r\n" % _OURS, b"Connection: close\r\nConnection: %b\r\n" % _OURS])
def test_connection_cannot_name_our_fields_away(
    gateway: ProxiedServer, upstream: ScriptedUpstream, lines: bytes
) -> None:
    """PX3: what we set is set after everything that the client says."""
    received = _sent(gateway, upstream, lines)
    ours = {"host", "tenantry-identity", "x-forwarded-for", "x-request-id", "via", "forwarded"}
    assert ours <= received.names
    assert "connection" not in received.names


def test_a_field_that_connection_names_is_of_this_hop_alone(gateway: ProxiedServer, upstream: ScriptedUpstream) -> None:
    """PX5: RFC 9110 section 7.6.1."""
    received = _sent(gateway, upstream, b"Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nx_hop: 2\r\nX-End: 3\r\n")
    assert received.field("x-end") == "3"
    assert not {"x-hop", "x_hop", "keep-alive"} & received.names


@pytest.mark.parametrize("field", [b"Authorization: Bearer tn_live_secret", b"X-API-Key: tn_live_secret"])
@pytest.mark.parametrize("access", ["principal", "public"])
def test_the_callers_credential_stays_here(upstream: ScriptedUpstream, field: bytes, access: str) -> None:
    """PX4: also on a public route."""
    with proxied(upstream, access=access) as gateway:
        received = _sent(gateway, upstream, field + b"\r\nX-Note: passes\r\n")
    assert received.field("x-note") == "passes"
    assert not [value for _, value in received.fields if "tn_live" in value]
    assert not {"authorization", "x-api-key"} & received.names


def test_other_fields_pass_in_order_with_every_line(gateway: ProxiedServer, upstream: ScriptedUpstream) -> None:
    """A proxied request is the caller's own but for what is documented."""
    received = _sent(gateway, upstream, b'Accept: a/b\r\nX-Note: 1\r\nIf-None-Match: "x"\r\nX-Note: caf\xe9\r\n')
    passing = [field for field in received.fields if field[0] in {"accept", "x-note", "if-none-match"}]
    assert passing == [("accept", "a/b"), ("x-note", "1"), ("if-none-match", '"x"'), ("x-note", "caf\xe9")]


def test_the_upstream_learns_who_asks(gateway: ProxiedServer, upstream: ScriptedUpstream) -> None:
    """The verified identity, by the published keys; the same for the next request, another for another."""
    keys = KeySet.import_key_set(json.loads(gateway.keys.public_document))
    principals = [principal_of_key(), principal_of_key()]
    tokens = []
    for principal in (*principals, principals[0]):
        gateway.caller.principal = principal
        tokens.append(_sent(gateway, upstream, b"").field("tenantry-identity"))
    assert tokens[0] == tokens[2] != tokens[1]
    claims = jwt.decode(tokens[0] or "", keys, algorithms=["Ed25519"]).claims
    assert (claims["aud"], claims["tenant_slug"], claims["plan"]) == ("echo", "acme", "pro")


def test_a_public_route_carries_no_identity(upstream: ScriptedUpstream) -> None:
    """Not even that of a caller who has shown a credential."""
    with proxied(upstream, access="public") as gateway:
        assert "tenantry-identity" not in _sent(gateway, upstream, b"Tenantry-Identity: forged\r\n").names


def test_who_sent_the_request_is_what_is_believed(gateway: ProxiedServer, upstream: ScriptedUpstream) -> None:
    """TH3, PX3: X-Forwarded-* and Forwarded of the client count only behind a trusted proxy."""
    lines = (
        b"X-Forwarded-For: 9.9.9.9, 2001:db8::7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.test\r\n"
        b"X-Forwarded-Port: 444\r\nForwarded: for=9.9.9.9\r\n"
    )
    received = _sent(gateway, upstream, lines)
    names = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded")
    assert [received.field(each) for each in names] == [
        *("127.0.0.1", "http", "gate.test:8443", "8443"),
        'for=127.0.0.1;host="gate.test:8443";proto=http',
    ]
    with proxied(upstream, trusted=("127.0.0.0/8",)) as trusting:
        received = _sent(trusting, upstream, lines)
    assert [received.field(each) for each in names] == [
        *("2001:db8::7", "https", "shop.test", "444"),
        'for="[2001:db8::7]";host="shop.test";proto=https',
    ]


@pytest.mark.parametrize(
    ("route", "target", "forwarded"),
    [
        ({}, b"/a/%7euser/%c3%a4%2b?q=%7e+%2F&&", "/a/~user/%C3%A4%2B?q=%7e+%2F&&"),
        ({"path": "/echo"}, b"/echo/a?b", "/echo/a?b"),
        ({"path": "/echo", "strip_prefix": True}, b"/echo/a/b?c", "/a/b?c"),
        ({"path": "/echo", "strip_prefix": True}, b"/%65cho/", "/"),
        ({"path": "/echo", "strip_prefix": True}, b"/echo?a=1", "/?a=1"),
        ({"path": "/a:b", "strip_prefix": True}, b"/a%3Ab/c", "/c"),
        ({"path": "/orders/{id}", "strip_prefix": True}, b"/orders/7%20/lines", "/lines"),
        ({"path": "/orders/{id}", "rewrite": "/v2/order/{id}"}, b"/orders/7%2b/lines", "/v2/order/7%2B/lines"),
        ({"path": "/echo", "rewrite": "/"}, b"/echo/x", "/x"),
        ({"path": "/", "rewrite": "/base"}, b"/x/y", "/base/x/y"),
    ],
)
def test_the_path_that_was_authorized_is_forwarded(
    upstream: ScriptedUpstream, route: dict[str, Any], target: bytes, forwarded: str
) -> None:
    """PX6: one canonical path; the query stays as it was sent."""
    with proxied(upstream, **route) as gateway:
        assert _sent(gateway, upstream, b"", target).target == forwarded


@pytest.mark.parametrize(
    "target", [b"/a/..;/b", b"/a/.%3bx/b", b"/a/%c0%ae/b", b"/a/%2e%2e/b", b"/a%2Fb", b"/a%5cb", b"/a/../b"]
)
def test_a_path_that_can_be_read_in_two_ways_is_not_forwarded(
    gateway: ProxiedServer, upstream: ScriptedUpstream, target: bytes
) -> None:
    """PX6: the last line of defence; routing refuses most of them before."""
    before = len(upstream.requests)
    assert _exchange(gateway, target=target).status == 404
    assert len(upstream.requests) == before


def test_what_is_left_of_a_path_is_no_host(upstream: ScriptedUpstream) -> None:
    """PX6: RFC 3986 section 4.2."""
    with proxied(upstream, path="/echo", strip_prefix=True) as gateway:
        assert _exchange(gateway, target=b"/echo//other.test/x").status == 404
        assert _sent(gateway, upstream, b"", b"/echo/a//b").target == "/a//b"


def test_a_routes_rules_change_the_request(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """Removed, set and added; no spelling of a name that is set gets past it."""
    secret = tmp_path / "secret"
    secret.write_text("Basic abc\n")
    rules = {
        "remove": ["X-Gone"],
        "set": {"X-Set": "ours", "Tenantry-Identity": "never", "Connection": "close"},
        "add": {"X-Note": "added"},
        "set_from_file": {"Authorization": str(secret)},
    }
    lines = b"X-Gone: 1\r\nx_gone: 1\r\nX_Set: theirs\r\nX-Note: theirs\r\nAuthorization: Bearer tn_live_x\r\n"
    with proxied(upstream, access="public", request_fields=rules) as gateway:
        received = _sent(gateway, upstream, lines)
    shown = [field for field in received.fields if field[0] in {"x-gone", "x_gone", "x-set", "x_set", "x-note"}]
    assert shown == [("x-note", "theirs"), ("x-set", "ours"), ("x-note", "added")]
    assert received.field("authorization") == "Basic abc"
    assert not {"tenantry-identity", "connection"} & received.names


def test_host_and_cookies_pass_where_the_route_says_so() -> None:
    """PX4: otherwise the upstream gets its own host and no cookie, and sets none."""
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    with scripted(answering(answer)) as setter, proxied(setter) as closed:
        assert "set-cookie" not in _exchange(closed, b"Cookie: a=b\r\n").headers
        assert setter.last.field("host") == f"127.0.0.1:{setter.port}"
        with proxied(setter, preserve_host=True, forward_cookies=True) as opened:
            assert _exchange(opened, b"Cookie: a=b\r\n").headers["set-cookie"] == "a=b"
        assert (setter.last.field("host"), setter.last.field("cookie")) == ("gate.test:8443", "a=b")


@pytest.mark.parametrize(
    ("sent", "passes"),
    [
        (b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        (b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later", True),
        (b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", False),
        (b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", False),
        (b"00-00000000000000000000000000000000-00f067aa0ba902b7-01", False),
        (b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", False),
    ],
)
def test_a_trace_goes_on_or_begins(
    gateway: ProxiedServer, upstream: ScriptedUpstream, sent: bytes, *, passes: bool
) -> None:
    """W3C Trace Context sections 3.2 and 4."""
    received = _sent(gateway, upstream, b"traceparent: " + sent + b"\r\ntracestate: a=b\r\n")
    parent = received.field("traceparent") or ""
    assert (parent == sent.decode()) is passes
    assert (received.field("tracestate") == "a=b") is passes
    assert passes or re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", parent)


def test_via_tells_both_sides_and_ends_loops(gateway: ProxiedServer, upstream: ScriptedUpstream) -> None:
    """RFC 9110 section 7.6.3: four passes are forwarded, the fifth is the end."""
    received = _sent(
        gateway, upstream, b"Via: 1.0 fred, 1.1 TENANTRY (a)\r\nVia: 2 tenantry, 1.1 tenantry, 1.1 tenantry\r\n"
    )
    assert received.field("via") == "1.0 fred, 1.1 TENANTRY (a), 2 tenantry, 1.1 tenantry, 1.1 tenantry, 1.1 tenantry"
    response = _exchange(gateway, b"Via: " + b", ".join([b"1.1 tenantry"] * 5) + b"\r\n")
    assert (response.status, response.problem["code"]) == (502, "upstream_error")


@pytest.mark.parametrize(
    "name",
    [
        *("Tenantry-Identity", "tenantry_note", "X-Request-Id", "x_request_id", "RateLimit", "RateLimit-Policy"),
        *("Keep-Alive", "Proxy-Authenticate", "Trailer", "Upgrade", "X-Hop"),
        *("X-Accel-Redirect", "X-Sendfile", "Alt-Svc"),
    ],
)
def test_an_upstreams_field_does_not_reach_the_client(
    gateway: ProxiedServer, upstream: ScriptedUpstream, name: str
) -> None:
    """PX3, PX5: hop-by-hop fields, our own, and orders to a server in front."""
    fields = b"%b: forged\r\nConnection: X-Hop\r\n" % name.encode()
    upstream.answer = b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 0\r\n\r\n"
    response = _exchange(gateway)
    assert "forged" not in response.headers.values()
    assert response.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_for_the_client(gateway: ProxiedServer, upstream: ScriptedUpstream, status: int) -> None:
    """PX2: wherever it leads, it is passed on and not followed."""
    upstream.requests.clear()
    upstream.answer = b"HTTP/1.1 %d Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n" % status
    response = _exchange(gateway)
    assert (response.status, response.headers["location"], len(upstream.requests)) == (status, "/elsewhere", 1)


def test_an_answer_passes_untouched(gateway: ProxiedServer, upstream: ScriptedUpstream) -> None:
    """Nothing is added but what is ours to say: no policy, no Date, no caching where it says its own."""
    upstream.answer = (
        b"HTTP/1.1 503 Wait\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nRetry-After: 7\r\nServer: up/1\r\n"
        b"Via: 1.1 inner\r\nCache-Control: max-age=5\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nbusy"
    )
    response = _exchange(gateway)
    assert (response.status, response.body) == (503, b"busy")
    response.headers.pop("x-request-id")
    response.headers.pop("strict-transport-security")  # of the host, which is the gateway's
    assert response.headers == {
        "date": "Mon, 01 Jan 2024 00:00:00 GMT",
        "retry-after": "7",
        "server": "up/1",
        "via": "1.1 inner, 1.1 tenantry",
        "cache-control": "max-age=5",
        "content-type": "text/plain",
        "content-length": "4",
    }


@pytest.mark.parametrize(
    ("access", "field", "shown"),
    [("principal", b"", "private"), ("principal", b"Expires: 0\r\n", None), ("public", b"", None)],
)
def test_a_personal_answer_is_private(access: str, field: bytes, shown: str | None) -> None:
    """IS1: a cache in front does not know that X-API-Key makes an answer personal."""
    answer = b"HTTP/1.1 200 OK\r\n%bContent-Length: 0\r\n\r\n" % field
    with scripted(answering(answer)) as upstream, proxied(upstream, access=access) as gateway:
        assert _exchange(gateway).headers.get("cache-control") == shown


def test_rules_change_the_answer() -> None:
    """And the gateway answers for cross-origin requests where the route is open to browsers."""
    answer = b"HTTP/1.1 200 OK\r\nServer: up/1\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 0\r\n\r\n"
    rules = {"remove": ["Server"], "set": {"X-Frame-Options": "DENY", "Content-Length": "7"}}
    with (
        scripted(answering(answer)) as upstream,
        proxied(upstream, response_fields=rules, browsers=True, server_timing=True) as gateway,
    ):
        response = _exchange(gateway)
    assert (response.headers["x-frame-options"], response.headers["content-length"]) == ("DENY", "0")
    assert not {"server", "access-control-allow-origin"} & response.headers.keys()
    assert re.fullmatch(r"upstream;dur=\d+\.\d\d", response.headers["server-timing"])


def test_the_log_names_the_upstream_and_its_time(gateway: ProxiedServer) -> None:
    """Upstream time in the access log."""
    _exchange(gateway)
    line = gateway.lines[-1]
    assert line["upstream"] == "echo"
    assert 0 < line["upstream_milliseconds"] < line["milliseconds"]
    assert "attempts" not in line


def test_another_head_on_the_same_connection_is_rendered_anew(
    gateway: ProxiedServer, upstream: ScriptedUpstream
) -> None:
    """PX3: what is kept for a connection is of the same header bytes."""
    with connected(gateway.port) as client:
        for value in (b"1", b"1", b"2"):
            client.send(b"GET /" + value + b" HTTP/1.1\r\nHost: gate.test\r\nX-Note: " + value + b"\r\n\r\n")
            assert client.response().body == b"ok"
            assert (upstream.last.target, upstream.last.field("x-note")) == (f"/{value.decode()}", value.decode())


def _two(client: RawClient) -> list[RawResponse]:
    return [client.response(), client.response()]


def test_requests_in_one_packet_stay_apart(gateway: ProxiedServer, upstream: ScriptedUpstream) -> None:
    """PX5: one request at a time goes upstream, with its own body."""
    first = b"POST /one HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 3\r\n\r\nabc"
    with connected(gateway.port) as client:
        client.send(first + b"GET /two HTTP/1.1\r\nHost: gate.test\r\n\r\n")
        assert [each.body for each in _two(client)] == [b"ok", b"ok"]
    assert [(each.target, each.body) for each in upstream.requests[-2:]] == [("/one", b"abc"), ("/two", b"")]
