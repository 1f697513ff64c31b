"""The yardstick: the least that an ASGI application can do."""

from starlette.types import ASGIApp, Receive, Scope, Send

_BODY = b'{"status": "ok"}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(_BODY)).encode())]


def create_app() -> ASGIApp:
    """A bare callable that answers every request alike."""

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await send({"type": "http.response.body", "body": _BODY})

    return app
