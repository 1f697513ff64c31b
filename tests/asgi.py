"""Calls ASGI applications and single stages of the gate without a server."""

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
class Response:
    """What an application sent. ``status`` is 0 if it sent nothing; ``ended`` is False for an incomplete body."""

    status: int = 0
    headers: list[Header] = field(default_factory=list)
    body: bytes = b""
    ended: bool = False

    def header(self, name: str) -> str | None:
        """The value of a header that occurs at most once."""
        values = [value.decode() for key, value in self.headers if key == name.encode()]
        assert len(values) <= 1, f"{name} occurs {len(values)} times"
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
    """A scope like uvicorn's."""
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


def request_context(scope: Scope, chunks: Iterable[bytes] = (), source: str = "192.0.2.1") -> RequestContext:
    """The context of a request with these body chunks, routed to ``respond_ok``."""
    body = list(chunks)

    async def receive() -> Message:
        return {"type": "http.request", "body": body.pop(0), "more_body": bool(body)}

    request = RequestContext(
        scope, RequestFields.of(scope["headers"]), receive, "req_01h455vb4pex5vsknk084sn02q", source
    )
    route_to(respond_ok)(request)
    return request


def route_to(app: ASGIApp, template: str = "", cost: int = 1) -> Stage:
    """A stage that routes every request to one public route; without a template it is an unknown path."""
    route = Route("GET", template, Terms(PUBLIC, cost), app)

    def assign(request: RequestContext) -> None:
        request.route = route

    return assign


async def run_stage(stage: Stage, request: RequestContext) -> None:
    """Run one stage, as the gate does."""
    waiting = stage(request)
    if waiting is not None:
        await waiting


def end(request: RequestContext, status: int = 200) -> None:
    """End the request, as the gate does."""
    for closer in (*request.closers, *request.delivery_closers):
        closer(request, status)


async def call(app: ASGIApp, scope: Scope, body: Iterable[bytes] = (b"",), *, disconnects: bool = False) -> Response:
    """Send the body's chunks and collect the response. With ``disconnects`` the client leaves after the last chunk."""
    chunks = list(body)
    response = Response()

    async def receive() -> Message:
        if not chunks:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunks.pop(0), "more_body": disconnects or bool(chunks)}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            response.status, response.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            response.body += message.get("body", b"")
            response.ended = not message.get("more_body", False)

    await app(scope, receive, send)
    return response


async def respond_ok(_scope: Scope, _receive: Any, send: Any) -> None:
    """An application that sends ``ok``."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
