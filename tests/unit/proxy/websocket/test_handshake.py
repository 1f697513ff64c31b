"""Opening a WebSocket on a proxied route: what is refused before the upstream sees it, and what it sees (PX12)."""

from collections.abc import Iterator

import pytest

from tests.fixtures.proxied import ScriptedUpstream, Visit, answering, proxied, scripted
from tests.fixtures.websockets import ACCEPT, SWITCHED, UPGRADE, World, websockets_to
from tests.raw_http import RawClient, connected

_HELLO = b"\x81\x85" + bytes(4) + b"hello"  # of a client, with a mask of zeros
_ANSWER = b"\x81\x05there"


def _switching(more: str = "") -> ScriptedUpstream:
    """An upstream that agrees, and answers one message."""

    def script(visit: Visit) -> None:
        visit.request()
        visit.send((SWITCHED + more + "\r\n").encode())
        received = b""
        while not received.endswith(b"hello"):
            received += visit.socket.recv(100)
        visit.send(_ANSWER)
        visit.wait_until_closed()

    return ScriptedUpstream(script)


def _is_open(client: RawClient) -> bool:
    client.send(_HELLO)
    return client.read_exactly(len(_ANSWER)) == _ANSWER


def test_the_upstream_gets_the_handshake_and_the_identity() -> None:
    """PX4, PX12: no extension, no credential, and frames of both ends as they are."""
    fields = (
        "Authorization: Bearer x\r\nSec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: a, b\r\n"
    )
    upstream = _switching("Sec-WebSocket-Protocol: b\r\nX-Served-By: one\r\n").start()
    with websockets_to(upstream) as world:
        client = world.raw(fields)
        answer = client.response()
        assert (answer.status, answer.headers["sec-websocket-accept"]) == (101, ACCEPT)
        assert (answer.headers["sec-websocket-protocol"], answer.headers["x-served-by"]) == ("b", "one")
        assert answer.headers["x-request-id"] == world.contexts[0].request_id
        assert {"content-length", "transfer-encoding", "content-security-policy"}.isdisjoint(answer.headers)
        assert _is_open(client)
        client.socket.close()
    sent = dict(upstream.last.fields)
    assert {name: sent[name] for name in ("upgrade", "connection", "sec-websocket-version")} == {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-version": "13",
    }
    assert sent["sec-websocket-protocol"] == "a, b"
    assert "tenantry-identity" in sent
    assert {"authorization", "sec-websocket-extensions"}.isdisjoint(sent)
    upstream.stop()


def test_frames_that_come_with_the_handshake_are_relayed() -> None:
    """PX12: neither lost nor taken for a request."""
    upstream = _switching().start()
    with websockets_to(upstream) as world:
        client = RawClient(world.server.port)
        client.send((UPGRADE + "\r\n").encode() + _HELLO)
        assert client.response().status == 101
        assert client.read_exactly(len(_ANSWER)) == _ANSWER
        client.socket.close()
    upstream.stop()


_REFUSED = {
    "another version": (UPGRADE.replace("Version: 13", "Version: 8"), 426, "upgrade_required"),
    "no version": (UPGRADE.replace("Sec-WebSocket-Version: 13\r\n", ""), 426, "upgrade_required"),
    "no key": (UPGRADE.replace("-Key:", "-Kay:"), 400, "malformed_request"),
    "a short key": (UPGRADE.replace("AAAA==", "=="), 400, "malformed_request"),
    "two keys": (UPGRADE + "Sec-WebSocket-Key: AQAAAAAAAAAAAAAAAAAAAA==\r\n", 400, "malformed_request"),
    "another method": (UPGRADE.replace("GET", "POST"), 400, "malformed_request"),
    "a body": (UPGRADE + "Content-Length: 5\r\n", 400, "malformed_request"),
    "chunks": (UPGRADE + "Transfer-Encoding: chunked\r\n", 400, "malformed_request"),
    "a foreign page": (UPGRADE + "Origin: https://other.test\r\n", 403, "forbidden"),
    "an opaque page": (UPGRADE + "Origin: null\r\n", 403, "forbidden"),
}


@pytest.fixture(scope="module")
def one_page() -> Iterator[tuple[World, ScriptedUpstream]]:
    """A route that pages of https://app.test may use."""
    with scripted() as upstream, websockets_to(upstream, origins=["https://app.test"]) as world:
        yield world, upstream


@pytest.mark.parametrize(("sent", "status", "code"), _REFUSED.values(), ids=_REFUSED.keys())
def test_a_bad_handshake_does_not_reach_the_upstream(
    one_page: tuple[World, ScriptedUpstream], sent: str, status: int, code: str
) -> None:
    """RFC 6455 section 4.2.1."""
    world, upstream = one_page
    with connected(world.server.port) as client:
        client.send((sent + "\r\n").encode())
        refused = client.response()
        assert (refused.status, refused.problem["code"]) == (status, code)
        assert (refused.headers.get("sec-websocket-version") == "13") is (status == 426)
    assert upstream.visits == 0


@pytest.mark.parametrize(
    ("fields", "origin"), [({"origins": ["https://app.test"]}, "app"), ({"any_origin": True}, "x")]
)
def test_pages_that_the_route_names_may_open_one(fields: dict[str, object], origin: str) -> None:
    """PX12; programs, which send no Origin, may in any case."""
    upstream = _switching().start()
    with websockets_to(upstream, **fields) as world:
        for more in (f"Origin: https://{origin}.test\r\n", ""):
            client = world.opened(more)
            assert _is_open(client)
            client.socket.close()
    upstream.stop()


_ORDINARY = {
    "HTTP/2": "GET / HTTP/1.1\r\nHost: g\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    "HTTP2-Settings: AAMA\r\n",
    "HTTP/1.0": UPGRADE.replace("HTTP/1.1", "HTTP/1.0"),
    "not asked of this hop": UPGRADE.replace("Connection: keep-alive, Upgrade\r\n", ""),
}


@pytest.mark.parametrize("sent", _ORDINARY.values(), ids=_ORDINARY.keys())
def test_another_upgrade_is_an_ordinary_request(sent: str) -> None:
    """PX5, PX12: the upstream does not see the offer, so it cannot switch behind our back."""
    with scripted() as upstream, websockets_to(upstream) as world, connected(world.server.port) as client:
        client.send((sent + "\r\n").encode())
        assert client.response().body == b"ok"
    assert {"upgrade", "http2-settings"}.isdisjoint(upstream.last.names)


def test_a_route_without_websockets_answers_as_usual() -> None:
    """PX12: and the next request of the connection is one."""
    with scripted() as upstream, proxied(upstream) as server, connected(server.port) as client:
        client.send((UPGRADE + "\r\nGET /next HTTP/1.1\r\nHost: gateway.test\r\n\r\n").encode())
        assert [client.response().body for _ in range(2)] == [b"ok", b"ok"]
        assert [each.target for each in upstream.requests] == ["/", "/next"]
    assert not [name for each in upstream.requests for name in each.names if name.startswith(("upgrade", "sec-web"))]


def test_a_refusal_of_the_upstream_passes() -> None:
    """PX12: as an ordinary answer, after which the connection goes on."""
    no = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
    with scripted(answering(no)) as upstream, websockets_to(upstream) as world, connected(world.server.port) as client:
        for _ in range(2):
            client.send((UPGRADE + "\r\n").encode())
            refused = client.response()
            assert (refused.status, refused.body) == (403, b"no")
        assert upstream.visits == 1


_BAD_ANSWERS = {
    "a wrong accept": SWITCHED.replace(ACCEPT, "AAAA") + "\r\n",
    "no accept": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "another protocol": SWITCHED.replace("websocket", "h2c") + "\r\n",
    "an extension": SWITCHED + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    "a subprotocol": SWITCHED + "Sec-WebSocket-Protocol: c\r\n\r\n",
}


@pytest.mark.parametrize("answer", _BAD_ANSWERS.values(), ids=_BAD_ANSWERS.keys())
def test_a_bad_agreement_of_the_upstream_is_an_error(answer: str) -> None:
    """RFC 6455 section 4.1: 502, and the connection to the upstream ends."""

    def script(visit: Visit) -> None:
        visit.request()
        visit.send(answer.encode())
        closed.append(visit.wait_until_closed())

    closed: list[bool] = []
    with scripted(script) as upstream, websockets_to(upstream) as world, connected(world.server.port) as client:
        client.send((UPGRADE + "\r\n").encode())
        refused = client.response()
        assert (refused.status, refused.problem["code"]) == (502, "upstream_error")
        assert world.server.http1.wait_until(lambda: closed == [True])
