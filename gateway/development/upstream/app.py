"""The demo service: echoes requests, answers slowly, sends events, and echoes WebSocket messages.

It decodes ``Tenantry-Identity`` without verifying it, to show it. A real service verifies it.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

_SHOWN_BYTES = 10_000  # of a body
_LONGEST_WAIT = 60.0  # seconds
_EVENTS = 60
_IDENTITY = "tenantry-identity"


async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application."""
    if scope["type"] == "websocket":
        await _echo_messages(WebSocket(scope, receive, send))
    elif scope["type"] == "http":
        response = await _answer(Request(scope, receive))
        await response(scope, receive, send)


async def _answer(request: Request) -> Response:
    """By the last segment of the path, wherever the route puts it."""
    last = request.url.path.rstrip("/").rpartition("/")[2]
    if last == "events":
        return StreamingResponse(_events(), media_type="text/event-stream")
    if last == "slow":
        await asyncio.sleep(_seconds(request.query_params.get("seconds", "1")))
    return await _echo(request)


async def _echo(request: Request) -> Response:
    count, shown = 0, b""
    async for chunk in request.stream():
        count += len(chunk)
        shown += chunk[: _SHOWN_BYTES - len(shown)]
    answer = {
        "method": request.method,
        "path": request.scope["raw_path"].decode("latin-1"),
        "query": request.scope["query_string"].decode("latin-1"),
        "fields": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.scope["headers"]],
        "identity": _claims(request.headers.get(_IDENTITY)),
        "body": shown.decode(errors="replace"),
        "body_bytes": count,
    }
    return JSONResponse(answer)


async def _events() -> AsyncIterator[str]:
    for number in range(_EVENTS):
        yield f"id: {number}\ndata: event {number}\n\n"
        await asyncio.sleep(1)


async def _echo_messages(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is not None:
                await socket.send_text(message["text"])
            else:
                await socket.send_bytes(message["bytes"])
    except WebSocketDisconnect:
        return


def _seconds(text: str) -> float:
    try:
        return min(max(float(text), 0.0), _LONGEST_WAIT)
    except ValueError:
        return 1.0


def _claims(token: str | None) -> Any:
    """The second part of a JWT (RFC 7519 section 3), or None."""
    try:
        payload = (token or "").split(".")[1]
        return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return None
