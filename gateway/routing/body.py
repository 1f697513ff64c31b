"""The body of a request, read within its route's bound and as strictly as RFC 8259 and I-JSON allow (DA1, DA2)."""

from collections.abc import Awaitable
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems.errors import (
    MalformedRequest,
    PayloadTooLarge,
    UnsupportedContentCoding,
    UnsupportedMediaType,
)
from gateway.request.context import context_of
from gateway.routing.strict_json import parse

NO_BODY = object()
_UNREAD = object()


class StrictRequest(Request):
    """A request whose ``json`` is strict. Raises MalformedRequest where Starlette would raise a decoding error."""

    _document: Any = _UNREAD

    def __init__(self, scope: Scope, receive: Receive, value_limit: int) -> None:
        super().__init__(scope, receive)
        self._value_limit = value_limit

    async def json(self) -> Any:
        """The body's document, parsed once. Raises MalformedRequest and PayloadTooLarge."""
        if self._document is _UNREAD:
            self._document = parse(await self.body(), self._value_limit)
        return self._document


async def read_document(request: StrictRequest) -> Any:
    """The JSON document of the body; NO_BODY when it is empty.

    Raises MalformedRequest, PayloadTooLarge, and UnsupportedMediaType for a body that is not declared to be JSON.
    """
    if not await read_body(request):
        return NO_BODY
    _require_json(request)
    return await request.json()


async def read_body(request: Request) -> bytes:
    """The whole body. Raises MalformedRequest when the client disconnects before its end, PayloadTooLarge."""
    try:
        return await request.body()
    except ClientDisconnect:
        message = "The connection was closed before the end of the body. Send the whole body before you close it."
        raise MalformedRequest(message, detail="the client disconnected before the end of its body") from None


def uncoded(scope: Scope, receive: Receive) -> Receive:
    """``receive`` of a request, or what raises UnsupportedContentCoding in its place when the body is encoded.

    Not asked for its body, the request passes: a coding of nothing means nothing. ``identity`` names no coding
    (RFC 9110 section 12.5.3).
    """
    sent = context_of(scope).fields.by_name
    if b"content-encoding" not in sent or (
        b"transfer-encoding" not in sent and int(sent.get(b"content-length", 0)) == 0
    ):
        return receive
    values = b",".join(value for name, value in scope["headers"] if name == b"content-encoding")
    if all(each.strip().lower() == b"identity" for each in values.split(b",")):
        return receive

    async def refuse() -> Message:
        raise UnsupportedContentCoding

    return refuse


def bounded(app: ASGIApp, limit: int) -> ASGIApp:
    """The application behind a bound of its own: a longer body is refused by its Content-Length, or while it is read.

    The server discards a body without a Content-Length that the application does not read.
    """

    def within(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        length = context_of(scope).fields.by_name.get(b"content-length")
        if length is not None and int(length) > limit:
            raise PayloadTooLarge.of_route(limit)
        left = limit

        async def receive_within() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise PayloadTooLarge.of_route(limit)
            return message

        return app(scope, receive_within, send)

    return within


def _require_json(request: Request) -> None:
    # RFC 9110 section 8.3.1: parameters follow a semicolon; JSON has none that matters (RFC 8259 section 11).
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise UnsupportedMediaType
