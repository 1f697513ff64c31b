"""A body is bounded before it is read (DA2)."""

from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from gateway.edge.body_limit import BodyLimitStage
from gateway.errors import PayloadTooLarge
from gateway.request_context import context_of
from tests.asgi import HOST, ask, http_scope, in_context, says_ok

pytestmark = pytest.mark.anyio

_CHUNKED = (b"transfer-encoding", b"chunked")


class Reader:
    """Reads the whole body and remembers how much it was given."""

    def __init__(self) -> None:
        self.received = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            message: Any = await receive()
            self.received += len(message.get("body", b""))
            if not message.get("more_body", False):
                break
        await says_ok(scope, receive, send)


async def test_a_declared_length_over_the_bound_is_refused_before_a_byte_is_read() -> None:
    """DA2."""
    reader = Reader()
    scope = in_context(http_scope("POST", headers=[HOST, (b"content-length", b"11")]))
    with pytest.raises(PayloadTooLarge):
        await ask(BodyLimitStage(reader, 10), scope, [b"x" * 11])
    assert reader.received == 0
    assert context_of(scope).response_headers == [(b"connection", b"close")]


async def test_a_chunked_body_is_refused_as_soon_as_it_passes_the_bound() -> None:
    """DA2: the chunk that passes it is the last that is taken."""
    reader = Reader()
    scope = in_context(http_scope("POST", headers=[HOST, _CHUNKED]))
    with pytest.raises(PayloadTooLarge):
        await ask(BodyLimitStage(reader, 10), scope, [b"12345", b"67890", b"!", b"never"])
    assert reader.received == 10
    assert context_of(scope).response_headers == [(b"connection", b"close")]


@pytest.mark.parametrize("field", [_CHUNKED, (b"content-length", b"10")], ids=["chunked", "declared"])
async def test_a_body_as_large_as_the_bound_passes(field: tuple[bytes, bytes]) -> None:
    reader = Reader()
    answer = await ask(BodyLimitStage(reader, 10), in_context(http_scope("POST", headers=[HOST, field])), [b"x" * 10])
    assert (answer.status, reader.received) == (200, 10)


async def test_a_body_without_any_length_is_counted_where_the_protocol_allows_one() -> None:
    """HTTP/2 needs neither Content-Length nor Transfer-Encoding."""
    scope = in_context(http_scope("POST"))
    scope["http_version"] = "2"
    with pytest.raises(PayloadTooLarge):
        await ask(BodyLimitStage(Reader(), 10), scope, [b"x" * 11])
