"""The baseline: the minimal work of an ASGI application."""

from starlette.types import ASGIApp, Receive, Scope, Send

_BODY = b'{"status": "ok"}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]
# The headers of the gateway's responses; two more differ in each.
_GATEWAY_HEADERS = [
    *_HEADERS,
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"strict-transport-security", b"max-age=63072000"),
    (b"ratelimit-policy", b'"burst";q=1000;w=1, "sustained";q=30000;w=60'),
]


def create_app() -> ASGIApp:
    """Sends the same response to every request."""

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await send({"type": "http.response.body", "body": _BODY})

    return app


def create_many_headers_app() -> ASGIApp:
    """Responds with as many headers as the gateway, after reading the body of a POST."""
    number = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal number
        if scope["type"] != "http":
            return
        if scope["method"] == "POST":
            while (await receive())["more_body"]:
                pass
        number += 1
        unique = (b"x-request-id", b"req_%026d" % number), (b"ratelimit", b'"burst";r=%d;t=1' % (number % 1000))
        await send({"type": "http.response.start", "status": 200, "headers": [*_GATEWAY_HEADERS, *unique]})
        await send({"type": "http.response.body", "body": _BODY})

    return app
