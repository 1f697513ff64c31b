"""The gate: every request passes the stages in order, and is then handled by the application of its route.

A stage is a callable of the request's context. It returns None when it is done, which costs no coroutine, or an
awaitable when it must wait, and raises the error for the caller. A warm request passes all stages without suspending.

Every response has ``X-Request-Id`` and the headers that stages added to the context. Every request is logged in one
line. Every exception becomes a problem document.
"""

from collections.abc import Awaitable, Callable, Sequence

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.gate.access_log import AccessLog
from gateway.gate.exchange import Exchange, Shared
from gateway.gate.request_id import RequestIds
from gateway.logs.setup import current_request
from gateway.problems.documents import Problems, as_tenantry_error, note
from gateway.request.context import CUT_SHORT, Closer, RequestContext
from gateway.request.route import ErrorFormat
from gateway.request.source import SourceReader
from tenants.errors import TenantryError

_log = structlog.get_logger(__name__)

Stage = Callable[[RequestContext], Awaitable[None] | None]


class ResponseCutShortError(Exception):
    """Makes the server abort the connection: the response has begun, and must not look complete."""


class Gate:
    """Passes requests through ``stages``, one of which finds the route, and to the application of the route.

    ``closers`` are called when a request ends. ``lifespan`` starts and stops with the server.
    """

    def __init__(
        self,
        lifespan: ASGIApp,
        *,
        stages: Sequence[Stage],
        closers: Sequence[Closer] = (),
        problems: Problems,
        source: SourceReader,
        access: AccessLog,
    ) -> None:
        self._lifespan = lifespan
        self._stages = tuple(stages)
        self._problems = problems
        self._access = access
        self._shared = Shared(RequestIds(), source, tuple(closers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._non_http(scope, receive, send)
            return
        request = Exchange(scope, receive, send, self._shared)
        current_request.set(request)
        try:
            for stage in self._stages:
                waiting = stage(request)
                if waiting is not None:
                    await waiting
            route = request.route
            if route is None:
                raise LookupError("no stage has found a route")  # noqa: TRY301 - handled as any other error
            answer = request.answer or route.app
            await answer(scope if scope["method"] != "HEAD" else _as_get(scope), request.receive, request.send)
        except TenantryError as error:
            await self._send_problem(error, request)
        except Exception as error:  # noqa: BLE001 - every error gets a response
            _log.exception("request_failed")
            await self._send_problem(error, request)
        finally:
            if not request.ended:
                request.end()
            request.delivered()
            if CUT_SHORT in scope:
                request.log["cut_short"] = scope[CUT_SHORT]
            request.close()
            self._access.write(request, request.status)

    async def _non_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:  # a WebSocket would bypass the stages; none is served
            await send({"type": "websocket.close", "code": 1008})

    async def _send_problem(self, error: Exception, request: Exchange) -> None:
        if request.ended:
            return
        if request.status:
            request.log["cut_short"] = True
            raise ResponseCutShortError from None
        known = as_tenantry_error(error)
        note(request, known)
        error_format = ErrorFormat.PROBLEM if request.route is None else request.route.terms.error_format
        response = self._problems.response(known, request.request_id, error_format)
        if request.answer is not None:
            request.answer.refuse(response)
        await response(request.scope, request.receive, request.send)


def _as_get(scope: Scope) -> Scope:
    """HEAD is handled as GET (RFC 9110 section 9.3.2). The server, which has the original scope, omits the body."""
    return {**scope, "method": "GET"}
