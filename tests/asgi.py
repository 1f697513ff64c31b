"""Speaks ASGI to an application, and leads requests to single stages of the gate, without a server between."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Scope

from gateway.gate.gate import Stage
from gateway.request.context import RequestContext
from gateway.request.fields import RequestFields
from gateway.request.route import PUBLIC, Route, Terms

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


def request_of(scope: Scope, chunks: Iterable[bytes] = (), source: str = "192.0.2.1") -> RequestContext:
    """The request as a stage meets it, its body in these chunks; on its way to the smallest application."""
    body = list(chunks)

    async def receive() -> Message:
        return {"type": "http.request", "body": body.pop(0), "more_body": bool(body)}

    request = RequestContext(
        scope, RequestFields.of(scope["headers"]), receive, "req_01h455vb4pex5vsknk084sn02q", source
    )
    leads_to(says_ok)(request)
    return request


def leads_to(app: ASGIApp, template: str = "", cost: int = 1) -> Stage:
    """A stage that gives every request one route, open to everybody; without a template it is none of ours."""
    route = Route("GET", template, Terms(PUBLIC, cost), app)

    def lead(request: RequestContext) -> None:
        request.route = route

    return lead


async def meet(stage: Stage, request: RequestContext) -> None:
    """Lead the request through one stage, as the gate does."""
    waiting = stage(request)
    if waiting is not None:
        await waiting


def end(request: RequestContext, status: int = 200) -> None:
    """End the request, as the gate does."""
    for closer in request.closers:
        closer(request, status)


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
