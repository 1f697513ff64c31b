"""Bounds a body before it is read: by what it declares, and by what arrives (DA2)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import PayloadTooLarge
from gateway.request_context import context_of

_CLOSE = (b"connection", b"close")


class BodyLimitStage:
    """Raises PayloadTooLarge: at once for a declared length over the bound, else from ``receive`` when it is passed."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit  # bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared, streamed = _lengths(scope)
        if declared > self._limit:
            raise _too_large(scope)
        if streamed:
            receive = _bounded(scope, receive, self._limit)
        await self._app(scope, receive, send)


def _lengths(scope: Scope) -> tuple[int, bool]:
    # The parser holds a body to its declared length, so only a body without one needs to be counted.
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value), False
        if name == b"transfer-encoding":
            return 0, True
    return 0, scope["http_version"] not in ("1.1", "1.0")


def _bounded(scope: Scope, receive: Receive, limit: int) -> Receive:
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise _too_large(scope)
        return message

    return counted


def _too_large(scope: Scope) -> PayloadTooLarge:
    # The rest of the body is not read, so the connection cannot carry another request.
    context_of(scope).response_headers.append(_CLOSE)
    return PayloadTooLarge()
