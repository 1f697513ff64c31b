"""The gate: every request meets the stages one after another, then whoever answers its route, then leaves through here.

A stage is a callable of the request's context. It returns None when it is done, which costs no coroutine; something to
await when it must wait; and raises what the caller is to be told. So a warm request passes all of them in one step.

Every answer leaves with ``X-Request-Id`` and whatever stages put into the context; every request leaves one line in the
log; whatever is raised becomes a problem document.
"""

from collections.abc import Awaitable, Callable, Sequence

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.gate.access_log import AccessLog
from gateway.gate.exchange import Common, Exchange
from gateway.gate.request_id import RequestIds
from gateway.logs.setup import current_request
from gateway.problems.documents import Problems, as_tenantry_error, note
from gateway.request.context import Closer, RequestContext
from gateway.request.source import SourceReader
from tenants.errors import TenantryError

_log = structlog.get_logger(__name__)

Stage = Callable[[RequestContext], Awaitable[None] | None]


class ResponseCutShortError(Exception):
    """Tells the server to break the connection off: the answer had begun, and its end must not look like an end."""


class Gate:
    """Leads requests through ``stages``, one of which finds the route, and to the application of the route.

    ``closers`` are told of every request when it ends. ``lifespan`` starts and stops with the server.
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
        self._common = Common(RequestIds(), source, tuple(closers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        request = Exchange(scope, receive, send, self._common)
        current_request.set(request)
        try:
            for stage in self._stages:
                waiting = stage(request)
                if waiting is not None:
                    await waiting
            route = request.route
            if route is None:
                raise LookupError("no stage has found a route")  # noqa: TRY301 - told as any other fault
            await route.app(scope if scope["method"] != "HEAD" else _as_get(scope), request.receive, request.send)
        except TenantryError as error:
            await self._explain(error, request)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the caller is owed an answer
            _log.exception("request_failed")
            await self._explain(error, request)
        finally:
            if not request.ended:
                request.end()
            request.close()
            self._access.write(request, request.status)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:  # a WebSocket would pass the stages unseen; none is served
            await send({"type": "websocket.close", "code": 1008})

    async def _explain(self, error: Exception, request: Exchange) -> None:
        if request.ended:
            return
        if request.status:
            request.log["cut_short"] = True
            raise ResponseCutShortError from None
        known = as_tenantry_error(error)
        note(request, known)
        await self._problems.response(known, request.request_id)(request.scope, request.receive, request.send)


def _as_get(scope: Scope) -> Scope:
    """HEAD is answered as GET (RFC 9110 section 9.3.2): the server, which keeps the scope it made, drops the body."""
    return {**scope, "method": "GET"}
