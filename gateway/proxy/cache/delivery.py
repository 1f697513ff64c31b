"""Sends stored answers: with their age, with ``Cache-Status`` (RFC 9211), and as 304 where the client has them."""

from starlette.types import Send

from gateway.proxy.cache.callers import SentFields
from gateway.proxy.cache.stored import Stored
from gateway.request.client import PROXIED
from gateway.request.fields import Field

CACHE_STATUS = b"cache-status"
_NOT_MODIFIED = 304
_NOT_IN_304 = frozenset(
    {b"content-length", b"content-type", b"content-encoding", b"content-language", b"content-range"}
)  # RFC 9110 section 15.4.5


async def deliver(entry: Stored, sent: SentFields, send: Send, status: bytes, now: float) -> None:
    """``status`` is the value of ``Cache-Status`` behind the name of the cache."""
    age = int(entry.age(now))
    fields = [*entry.fields, (CACHE_STATUS, b"tenantry; " + status)]
    if age or status.startswith(b"hit"):  # otherwise it was made for this request (RFC 9111 section 5.1)
        fields.append((b"age", b"%d" % age))
    code, body = entry.answer.status, entry.body
    if not sent.plain and entry.unmodified(sent.if_none_match, sent.if_modified_since):
        code, body = _NOT_MODIFIED, b""
        fields = [field for field in fields if field[0] not in _NOT_IN_304]
    await send({"type": "http.response.start", "status": code, "headers": fields, PROXIED: True})
    await send({"type": "http.response.body", "body": body})


def hit(entry: Stored, now: float) -> bytes:
    """``ttl`` is negative for a stale answer."""
    return b"hit; ttl=%d" % int(entry.lifetime.fresh - entry.age(now))


def forwarded(reason: bytes, *, status: int = 0, stored: bool = False, collapsed: bool = False) -> bytes:
    """``reason`` as RFC 9211 section 2.2 has it; ``status`` of the upstream, where ours is another."""
    return b"".join(
        [
            b"fwd=",
            reason,
            b"; fwd-status=%d" % status if status else b"",
            b"; stored" if stored else b"",
            b"; collapsed" if collapsed else b"",
        ]
    )


def with_status(fields: list[Field], status: bytes) -> list[Field]:
    """Fields of an answer that passes through."""
    return [*fields, (CACHE_STATUS, b"tenantry; " + status)]
