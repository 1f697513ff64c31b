"""Bounds a body before it is read: by what it declares, and by what arrives (DA2)."""

from starlette.types import Message, Receive

from gateway.errors import PayloadTooLarge
from gateway.request_context import RequestContext

_CLOSE = (b"connection", b"close")


class BodyLimitStage:
    """Raises PayloadTooLarge: at once for a declared length over the bound, else from ``receive`` when it is passed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit  # bytes

    def __call__(self, request: RequestContext) -> None:
        # The parser holds a body to its declared length, so only a body without one needs to be counted.
        declared = request.fields.get(b"content-length")
        if declared is not None:
            if int(declared) > self._limit:
                raise _too_large(request)
        elif b"transfer-encoding" in request.fields or request.scope["http_version"] not in ("1.1", "1.0"):
            request.receive = self._bounded(request, request.receive)

    def _bounded(self, request: RequestContext, receive: Receive) -> Receive:
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise _too_large(request)
            return message

        return counted


def _too_large(request: RequestContext) -> PayloadTooLarge:
    # The rest of the body is not read, so the connection cannot carry another request.
    request.response_headers.append(_CLOSE)
    return PayloadTooLarge()
