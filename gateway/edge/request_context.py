"""The outermost stage: gives the request its id and its context, and is the only wrapper of ``send``.

Every answer leaves through it with ``X-Request-Id``, the security headers and whatever stages put into the context;
every request leaves one line in the log; what escapes all other stages becomes a problem document.
"""

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.edge.access_log import AccessLog
from gateway.edge.security_headers import SecurityHeaders
from gateway.edge.source import SourceReader
from gateway.logs import request_in_hand
from gateway.problems import Problems, as_tenantry_error, note
from gateway.request_context import RequestContext, open_context
from gateway.usage.recorder import Counter, count_nothing
from tenants.errors import TenantryError
from tenants.identifiers import new_request_id

_log = structlog.get_logger(__name__)


class ResponseCutShortError(Exception):
    """Tells the server to break the connection off: the answer had begun, and its end must not look like an end."""


class RequestContextStage:
    """Opens the context of each request and closes it with a line in the log."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        problems: Problems,
        source: SourceReader,
        headers: SecurityHeaders,
        access: AccessLog,
        count: Counter = count_nothing,
    ) -> None:
        self._app = app
        self._problems = problems
        self._source = source
        self._headers = headers
        self._access = access
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        context = RequestContext(new_request_id(), self._source(scope))
        open_context(scope, context)
        request_in_hand.set(context)
        outgoing = Outgoing(send, scope, context, self._headers, self._count)
        try:
            await self._app(scope, receive, outgoing.send)
        except TenantryError as error:
            await self._explain(error, scope, receive, outgoing)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the caller is owed an answer
            _log.exception("request_failed")
            await self._explain(error, scope, receive, outgoing)
        finally:
            if not outgoing.ended:  # cut short, or cancelled: it was used all the same, and we failed
                self._count(scope, context, 0)
            self._access.write(scope, context, outgoing.status)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        else:  # a WebSocket would pass the stages unseen; none is served
            await send({"type": "websocket.close", "code": 1008})

    async def _explain(self, error: Exception, scope: Scope, receive: Receive, outgoing: "Outgoing") -> None:
        context = outgoing.context
        if outgoing.ended:
            return
        if outgoing.status:
            context.log["cut_short"] = True
            raise ResponseCutShortError from None
        known = as_tenantry_error(error)
        note(context, known)
        await self._problems.response(known, context.request_id)(scope, receive, outgoing.send)


class Outgoing:
    """``send`` with the headers of every answer, its count, and a memory of how far the answer got."""

    __slots__ = ("_count", "_headers", "_scope", "_send", "context", "ended", "status")

    def __init__(
        self, send: Send, scope: Scope, context: RequestContext, headers: SecurityHeaders, count: Counter
    ) -> None:
        self._send = send
        self._scope = scope
        self._headers = headers
        self._count = count
        self.context = context
        self.status = 0  # nothing was sent yet
        self.ended = False

    async def send(self, message: Message) -> None:
        """Pass a message on: the first one gets the headers, and before the last one leaves the request is counted."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = [*message["headers"], (b"x-request-id", self.context.request_id.encode())]
            message["headers"] = self._headers.beside(own + self.context.response_headers)
        elif not message.get("more_body", False):
            self.ended = True
            self._count(self._scope, self.context, self.status)
        await self._send(message)
