"""Speaks ASGI to a stage or an application, message by message, without a server between."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Scope

from gateway.request_context import RequestContext, open_context

Header = tuple[bytes, bytes]
HOST: Header = (b"host", b"gateway.test")


@dataclass
class Answer:
    """What an application sent. ``status`` is 0 when it sent nothing; ``ended`` tells a clean end from a cut one."""

    status: int = 0
    headers: list[Header] = field(default_factory=list)
    body: bytes = b""
    ended: bool = False

    def header(self, name: str) -> str | None:
        """The value of a header that is there at most once."""
        values = [value.decode() for key, value in self.headers if key == name.encode()]
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else None

    def json(self) -> Any:
        return orjson.loads(self.body)


def http_scope(
    method: str = "GET",
    path: str = "/",
    *,
    headers: Iterable[Header] = (HOST,),
    query: bytes = b"",
    client: tuple[str, int] | None = ("192.0.2.1", 4711),
    raw_path: bytes | None = None,
) -> Scope:
    """A scope as uvicorn makes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode() if raw_path is None else raw_path,
        "query_string": query,
        "root_path": "",
        "headers": list(headers),
        "client": client,
        "server": ("192.0.2.9", 80),
        "state": {},
    }


def in_context(scope: Scope, source: str = "192.0.2.1") -> Scope:
    """The scope with a request context in it, for a stage that is driven without the outermost one."""
    open_context(scope, RequestContext("req_01h455vb4pex5vsknk084sn02q", source))
    return scope


async def ask(app: ASGIApp, scope: Scope, body: Iterable[bytes] = (b"",), *, leaves: bool = False) -> Answer:
    """Send the body's chunks and gather the answer. With ``leaves`` the client goes away after the last chunk."""
    chunks = list(body)
    answer = Answer()

    async def receive() -> Message:
        if not chunks:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunks.pop(0), "more_body": leaves or bool(chunks)}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            answer.body += message.get("body", b"")
            answer.ended = not message.get("more_body", False)

    await app(scope, receive, send)
    return answer


async def says_ok(_scope: Scope, _receive: Any, send: Any) -> None:
    """The smallest application."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
