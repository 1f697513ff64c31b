"""Small ASGI applications for the connections under test."""

import asyncio
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Header = tuple[bytes, bytes]


def start(status: int = 200, *headers: Header) -> Message:
    """The first message of an answer."""
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", *, more: bool = False) -> Message:
    """A piece of an answer's body."""
    return {"type": "http.response.body", "body": data, "more_body": more}


def length(count: int) -> Header:
    """Content-Length."""
    return b"content-length", b"%d" % count


def says(*messages: Message) -> ASGIApp:
    """Sends these messages, whatever it is asked."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in messages:
            await send(dict(message))

    return app


def fails_after(*messages: Message) -> ASGIApp:
    """Sends these messages, then breaks."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in messages:
            await send(dict(message))
        raise ZeroDivisionError

    return app


async def reads(_scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the number of bytes in the body, once it has them all."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    await send(start(200, length(len(str(size)))))
    await send(body(str(size).encode()))


class Slow:
    """Answers when it is told to, with the path that was asked for. What ``receive`` says meanwhile is kept."""

    def __init__(self, *, listens: bool = False) -> None:
        self.told = asyncio.Event()
        self.heard: list[str] = []
        self._listens = listens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._listens:
            while not self.heard or self.heard[-1] != "http.disconnect":
                self.heard.append((await receive())["type"])
        await self.told.wait()
        path = scope["raw_path"]
        await send(start(200, length(len(path))))
        await send(body(path))


def stream(pieces: Iterable[bytes], gate: asyncio.Event | None = None) -> ASGIApp:
    """An answer of unknown length, of which no piece comes before the gate opens."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start())
        if gate is not None:
            await gate.wait()
        for piece in pieces:
            await send(body(piece, more=True))
        await send(body())

    return app
