"""A body is bounded before it is read (DA2)."""

import pytest

from gateway.edge.body_limit import BodyLimitStage
from gateway.errors import PayloadTooLarge
from gateway.request_context import RequestContext
from tests.asgi import HOST, Header, http_scope, request_of

pytestmark = pytest.mark.anyio

_CHUNKED = (b"transfer-encoding", b"chunked")
_CLOSED = [(b"connection", b"close")]


def _post(fields: list[Header], *chunks: bytes) -> RequestContext:
    return request_of(http_scope("POST", headers=[HOST, *fields]), chunks)


async def _read(request: RequestContext) -> int:
    """Bytes of the whole body."""
    received, more = 0, True
    while more:
        message = await request.receive()
        received += len(message["body"])
        more = message["more_body"]
    return received


def test_a_declared_length_over_the_bound_is_refused_before_a_byte_is_read() -> None:
    """DA2."""
    request = _post([(b"content-length", b"11")])
    with pytest.raises(PayloadTooLarge):
        BodyLimitStage(10)(request)
    assert request.response_headers == _CLOSED


async def test_a_chunked_body_is_refused_as_soon_as_it_passes_the_bound() -> None:
    """DA2: the chunk that passes it is the last that is taken."""
    request = _post([_CHUNKED], b"12345", b"67890", b"!", b"never")
    BodyLimitStage(10)(request)
    assert [(await request.receive())["body"] for _ in range(2)] == [b"12345", b"67890"]
    with pytest.raises(PayloadTooLarge):
        await request.receive()
    assert request.response_headers == _CLOSED


@pytest.mark.parametrize("field", [_CHUNKED, (b"content-length", b"10")], ids=["chunked", "declared"])
async def test_a_body_as_large_as_the_bound_passes(field: Header) -> None:
    request = _post([field], b"x" * 10)
    BodyLimitStage(10)(request)
    assert await _read(request) == 10


async def test_a_body_without_any_length_is_counted_where_the_protocol_allows_one() -> None:
    """HTTP/2 needs neither Content-Length nor Transfer-Encoding."""
    request = _post([], b"x" * 11)
    request.scope["http_version"] = "2"
    BodyLimitStage(10)(request)
    with pytest.raises(PayloadTooLarge):
        await _read(request)
