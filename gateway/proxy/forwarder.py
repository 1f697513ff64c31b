"""The application of a proxied route: sends a request on to an upstream, and its answer back.

The order of one request: body as far as it is read first, head, attempts until an answer begins, answer. On the common
path, a request without a body on a pooled connection with an answer of one read, it waits once: for the answer.
"""

from typing import Protocol

from starlette.types import Receive, Scope, Send

from gateway.proxy.attempts import BODYLESS, Answer, Attempts, Outgoing
from gateway.proxy.client.errors import UpstreamFailed
from gateway.proxy.errors import AnswerCutShort, outcome_of
from gateway.proxy.forwarded import ClientFields
from gateway.proxy.identity import IdentityTokens
from gateway.proxy.request_body import NO_BODY, ClientLeft, read_body
from gateway.proxy.request_head import RequestHeads, lines_of
from gateway.proxy.response_head import ResponseHeads
from gateway.proxy.targets.outcomes import Outcome, of_status
from gateway.proxy.targets.upstream import Upstream
from gateway.proxy.tracing import TraceContext
from gateway.request.client import CLIENT, PROXIED, WHOLE_BODY, Client
from gateway.request.context import RequestContext, context_of
from gateway.request.fields import Field
from tenants.routes.schemas import RouteSpec


class Shared(Protocol):
    """What the forwarders of a worker share: the part of ``Proxy`` that they use."""

    @property
    def identity(self) -> IdentityTokens: ...

    @property
    def client_fields(self) -> ClientFields: ...

    @property
    def traces(self) -> TraceContext: ...


class Forwarder:
    """Of one route."""

    def __init__(self, spec: RouteSpec, upstream: Upstream, shared: Shared) -> None:
        """Raises OSError and ValueError for a file of the route's field rules."""
        self._spec = spec
        self._upstream = upstream.name
        self._timed = spec.server_timing
        self._joins = spec.cache is None  # a cache reads the messages of ASGI
        self._answers = ResponseHeads(spec)
        heads = RequestHeads(spec, upstream.name, shared.client_fields, shared.identity, shared.traces)
        self._attempts = Attempts(spec, upstream, heads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that the gate has admitted. Raises what the caller is told."""
        context, client = context_of(scope), scope[CLIENT]
        try:
            if client.body_length:
                answer = await self.open(context, client, receive)
            else:  # the common case, with one coroutine less
                context.log["upstream"] = self._upstream
                answer = await self._attempts.answer(context, client, BODYLESS[context.scope["method"]])
            await self.relay(context, answer, send)
        except ClientLeft:
            context.log["client_left"] = True

    async def open(
        self,
        context: RequestContext,
        client: Client,
        receive: Receive,
        fields: tuple[Field, ...] = (),
        *,
        upgrade: bool = False,
    ) -> Answer:
        """The answer as soon as its head has come; ``relay`` or ``Answer.end`` must follow.

        ``fields`` are sent as well. With ``upgrade`` the answer may be 101. Raises ClientLeft and what the caller is
        told.
        """
        context.log["upstream"] = self._upstream
        body = await read_body(self._spec, client, receive) if client.body_length else NO_BODY
        method: str = context.scope["method"]
        framing = body.framing(method) + lines_of(fields)
        return await self._attempts.answer(context, client, Outgoing(method, framing, body, receive, upgrade))

    async def relay(self, context: RequestContext, answer: Answer, send: Send) -> None:
        """Send an answer to the client, as it comes. Raises ClientLeft, and AnswerCutShort where it has no end."""
        head, relayed = answer.head, self._answers.relayed(answer.head)
        context.log["upstream_milliseconds"] = int(answer.seconds * 100_000) / 100
        start = {
            "type": "http.response.start",
            "status": head.status,
            "headers": relayed.fields,
            PROXIED: relayed.block,
        }
        if self._timed or not head.complete:  # the server looks into the fields of streams
            start |= {"headers": self.fields_of(answer), PROXIED: True}
        if not head.complete:
            await self._stream(answer, start, send)
            return
        answer.end(of_status(head.status))  # a slow reader holds no connection to the upstream
        if self._joins:
            start[WHOLE_BODY] = head.body
            await send(start)
        else:
            await send(start)
            await send({"type": "http.response.body", "body": head.body})

    def fields_of(self, answer: Answer) -> list[Field]:
        """The fields of an answer, not to be changed."""
        fields = self._answers.relayed(answer.head).fields
        if self._timed:
            fields = [*fields, (b"server-timing", b"upstream;dur=%.2f" % (answer.seconds * 1000))]
        return fields

    async def _stream(self, answer: Answer, start: dict[str, object], send: Send) -> None:
        connection, data, outcome = answer.connection, answer.head.body, Outcome.ABANDONED
        final = of_status(answer.head.status)
        if final is Outcome.OK:
            answer.attempt.answered()
        try:
            await send(start)
            if data:
                await send({"type": "http.response.body", "body": data, "more_body": True})
            while data := await connection.read():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            outcome = final
        except UpstreamFailed as error:
            error.__traceback__ = None  # the connection keeps the error, and its frames the connection: a cycle
            outcome = Outcome.ABANDONED if answer.client.left else outcome_of(error)
            raise _cut_short(answer, error) from None
        finally:
            answer.end(outcome)
        await send({"type": "http.response.body", "body": b""})


def _cut_short(answer: Answer, error: UpstreamFailed) -> Exception:
    if answer.client.left:
        return ClientLeft()
    if answer.pump is not None and answer.pump.error is not None:
        return answer.pump.error
    return AnswerCutShort(detail=f"{answer.target.name}: {error}")
