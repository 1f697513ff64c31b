"""Every raw request of the table against a proxied route: what the upstream sees is what the gateway saw (PX5).

The upstream reads with h11, a parser that is not ours. The requests of a connection are counted on both sides of the
gateway: nothing malformed is sent on, and one request never becomes two.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from tests.fixtures.http1 import BODY_LIMIT
from tests.fixtures.proxied import ProxiedServer, Received, ScriptedUpstream, proxied, scripted
from tests.integration.http1.raw_requests import BODIES, HEADS, HOST, VALID
from tests.raw_http import connected

_NEXT = b"GET /after HTTP/1.1\r\n" + HOST + b"\r\n"


@dataclass(frozen=True)
class _World:
    gateway: ProxiedServer
    upstream: ScriptedUpstream

    def send(self, data: bytes, piece: int | None = None, *, follows: bool = False) -> tuple[int, list[Received]]:
        """The status of the first answer, and what the upstream got of this connection.

        ``follows``: another answer is waited for, unless the gateway closes.
        """
        before = len(self.upstream.requests)
        self.gateway.http1.scopes.clear()
        with connected(self.gateway.port) as client:
            client.send(data, piece)
            status = client.response().status
            if follows:
                with suppress(AssertionError):  # a request of HTTP/1.0 is the last of its connection
                    client.response()
        assert self.gateway.http1.wait_until(lambda: self.gateway.http1.idle)
        assert self.upstream.malformed == []
        return status, self.upstream.requests[before:]

    @property
    def seen(self) -> list[tuple[str, str]]:
        """Method and target of each request that the gateway has seen."""
        return [(each["method"], _target(each["raw_path"], each["query_string"])) for each in self.gateway.http1.scopes]


def _target(path: bytes, query: bytes) -> str:
    return (path + b"?" + query if query else path).decode()


@pytest.fixture(scope="module")
def world() -> Iterator[_World]:
    with scripted() as upstream, proxied(upstream, body_limit=BODY_LIMIT) as gateway:
        yield _World(gateway, upstream)


@pytest.mark.parametrize("name", HEADS)
def test_a_malformed_head_reaches_no_upstream(world: _World, name: str) -> None:
    """PX5, PX7: nor does a request that follows it in the same bytes, which another parser might find in it."""
    for data in (HEADS[name][0], HEADS[name][0] + _NEXT):
        status, received = world.send(data)
        assert status >= 400
        assert not [each for each in received if each.complete]


@pytest.mark.parametrize("name", BODIES)
def test_a_malformed_body_completes_no_request(world: _World, name: str) -> None:
    """PX5, DA2: what has been sent on of it ends without the end of a body, and nothing after it is a request."""
    for data in (BODIES[name][0], BODIES[name][0] + _NEXT):
        status, received = world.send(data)
        assert status >= 400
        assert len(received) <= 1
        assert not [each for each in received if each.complete]


@pytest.mark.parametrize("name", VALID)
def test_a_valid_request_is_one_request_upstream(world: _World, name: str) -> None:
    """PX5: with the same method, target and body, in one piece and with another request after it."""
    status, received = world.send(VALID[name])
    assert status == 200
    assert [(each.method, each.target) for each in received] == world.seen
    assert [each.complete for each in received] == [True]
    status, received = world.send(VALID[name] + _NEXT, follows=True)
    assert status == 200
    assert [(each.method, each.target) for each in received] == world.seen


@pytest.mark.parametrize("name", ["chunks", "chunked in upper case", "an empty body", "white space around a value"])
def test_a_request_byte_by_byte_is_the_same_request(world: _World, name: str) -> None:
    """PX5: the boundaries of reads mean nothing."""
    whole = world.send(VALID[name])[1][0]
    status, (slow,) = world.send(VALID[name], 1)
    assert status == 200
    assert (slow.method, slow.target, slow.body, slow.complete) == (whole.method, whole.target, whole.body, True)
