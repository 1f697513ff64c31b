"""Small ASGI applications for the tests of the HTTP/1.1 server."""

import asyncio
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Header = tuple[bytes, bytes]


def start(status: int = 200, *headers: Header) -> Message:
    """The first message of a response."""
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", *, more: bool = False) -> Message:
    """A part of a response body."""
    return {"type": "http.response.body", "body": data, "more_body": more}


def length(count: int) -> Header:
    """Content-Length."""
    return b"content-length", b"%d" % count


def responds(*messages: Message) -> ASGIApp:
    """Sends these messages for every request."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in messages:
            await send(dict(message))

    return app


def fails_after(*messages: Message) -> ASGIApp:
    """Sends these messages, then raises."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in messages:
            await send(dict(message))
        raise ZeroDivisionError

    return app


async def count_body(_scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the whole body and responds with its length."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    await send(start(200, length(len(str(size)))))
    await send(body(str(size).encode()))


class Held:
    """Responds with the path once ``release`` is set. With ``listens`` it first receives until the disconnect."""

    def __init__(self, *, listens: bool = False) -> None:
        self.release = asyncio.Event()
        self.events: list[str] = []
        self._listens = listens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._listens:
            while not self.events or self.events[-1] != "http.disconnect":
                self.events.append((await receive())["type"])
        await self.release.wait()
        path = scope["raw_path"]
        await send(start(200, length(len(path))))
        await send(body(path))


def stream(pieces: Iterable[bytes], ready: asyncio.Event | None = None) -> ASGIApp:
    """A response of unknown length, whose body starts when ``ready`` is set."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start())
        if ready is not None:
            await ready.wait()
        for piece in pieces:
            await send(body(piece, more=True))
        await send(body())

    return app
