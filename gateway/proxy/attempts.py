"""Has a request answered by a target of its upstream, in as many attempts as may be made (PX10).

What may be sent again (RFC 9110 section 9.2.2, RFC 9112 section 9.3.1), always before the first byte of an answer:

- any request of which nothing has reached the upstream: no connection, or one that had ended before it was written to;
- a request with an idempotent method whose connection ended. On a connection that had been used before, the upstream
  had probably closed it: this costs neither a retry of the route nor of the budget;
- nothing after a deadline for the answer has passed: the target may be at work, and the caller has waited long enough.

A body that is streamed is sent once it has begun to be sent, and never again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from starlette.types import Receive

from gateway.proxy.client.connection import UpstreamConnection
from gateway.proxy.client.errors import (
    ConnectFailed,
    ConnectionLost,
    ConnectTimedOut,
    TooManyConnections,
    UpstreamFailed,
)
from gateway.proxy.client.response_head import ResponseHead
from gateway.proxy.errors import caller_error, outcome_of
from gateway.proxy.request_body import ClientLeft, Pump, RequestBody
from gateway.proxy.request_head import RequestHeads, lines_of
from gateway.proxy.targets.outcomes import Outcome
from gateway.proxy.targets.target import Attempt, Target
from gateway.proxy.targets.upstream import Upstream
from gateway.request.client import Client
from gateway.request.context import RequestContext
from gateway.request.fields import Field
from tenants.routes.schemas import RouteSpec

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})  # RFC 9110 section 9.2.2
_NOTHING_SENT = (ConnectFailed, ConnectTimedOut, TooManyConnections)
_MOST_STALE = 3  # connections of one request that had been closed


@dataclass(slots=True)
class Answer:
    """An answer that has begun."""

    head: ResponseHead
    connection: UpstreamConnection
    target: Target
    attempt: Attempt
    client: Client
    pump: Pump | None
    seconds: float  # from the start of the attempt to the head

    def end(self, outcome: Outcome) -> None:
        """The exchange with the upstream is over, and the client's leaving does not concern it any more."""
        self.client.on_disconnect(None)
        if self.pump is not None and not self.pump.done:
            self.pump.stop()
            self.connection.abort()
        self.target.pool.release(self.connection)
        self.attempt.ended(outcome, self.seconds)


@dataclass(slots=True)
class Outgoing:
    """What is sent to the upstream beside the request's own head."""

    method: str
    body: RequestBody
    receive: Receive
    fields: Sequence[Field] = ()  # of an upgrade
    upgrade: bool = False


class _Retries:
    """Of one request that has failed once."""

    def __init__(self, left: int, upstream: Upstream, outgoing: Outgoing) -> None:
        self.attempts = 1
        self.tried: tuple[Target, ...] = ()
        self._left = left
        self._budget = upstream.budget
        self._stale = _MOST_STALE
        self._idempotent = outgoing.method in _IDEMPOTENT and not (outgoing.body.streamed or outgoing.upgrade)

    def allow(self, error: UpstreamFailed, target: Target) -> bool:
        """Whether the request may be sent again after this failure at that target."""
        self.attempts += 1
        lost = error if isinstance(error, ConnectionLost) and error.before_first_byte else None
        if lost is not None and (lost.unsent or (lost.stale and self._idempotent)):
            self._stale -= 1
            return self._stale >= 0
        self.tried = (*self.tried, target)
        if not (isinstance(error, _NOTHING_SENT) or (lost is not None and self._idempotent)) or not self._left:
            return False
        self._left -= 1
        return self._budget.allows_retry()


class Attempts:
    """Of one route."""

    def __init__(self, spec: RouteSpec, upstream: Upstream, heads: RequestHeads) -> None:
        self._upstream = upstream
        self._heads = heads
        self._meter = upstream.meter(spec.name)
        self._retries = spec.retries
        self._first_byte = spec.first_byte_seconds

    async def answer(self, context: RequestContext, client: Client, outgoing: Outgoing) -> Answer:
        """The answer, as soon as its head has come.

        Raises ClientLeft, NoTarget, the errors of ``gateway/proxy/errors.py`` and those of an invalid body.
        """
        tenant = _tenant(context)
        target = self._upstream.pick(tenant)
        retries: _Retries | None = None
        while True:
            attempt, connection, pump = target.began(self._meter), None, None
            began = perf_counter()
            try:
                connection = target.pool.take() if retries is None else None  # after a failure only a new one is sure
                if connection is None:
                    connection = await target.pool.connect(tenant)
                client.on_disconnect(connection.abort)
                self._send(context, outgoing, target, connection)
                if outgoing.body.streamed:
                    pump = Pump(connection, outgoing.receive)
                head = await connection.head()
                return Answer(head, connection, target, attempt, client, pump, perf_counter() - began)
            except UpstreamFailed as error:
                outcome = Outcome.ABANDONED if client.left else outcome_of(error)
                _give_up(client, target, attempt, connection, outcome, began)
                retries = retries or _Retries(self._retries, self._upstream, outgoing)
                target = self._next_target(context, client, target, retries, error, pump)
            except BaseException:
                _give_up(client, target, attempt, connection, Outcome.ABANDONED, began)
                raise

    def _next_target(
        self,
        context: RequestContext,
        client: Client,
        target: Target,
        retries: _Retries,
        error: UpstreamFailed,
        pump: Pump | None,
    ) -> Target:
        """Where to try again. Raises what the caller is told where nothing may be tried any more."""
        if client.left:
            raise ClientLeft from None
        if pump is not None and pump.error is not None:
            raise pump.error
        if not retries.allow(error, target):
            raise caller_error(error, target.name) from None
        context.log["attempts"] = retries.attempts
        return self._upstream.pick(_tenant(context), retries.tried)

    def _send(
        self, context: RequestContext, outgoing: Outgoing, target: Target, connection: UpstreamConnection
    ) -> None:
        body, method = outgoing.body, outgoing.method
        framing = body.framing(method)
        if outgoing.fields:
            framing += lines_of(outgoing.fields)
        connection.send(
            self._heads.render(context, target.authority, framing),
            method=method,
            body=body.data,
            more_body=body.streamed,
            length=body.announced,
            upgrade=outgoing.upgrade,
            first_byte=self._first_byte,
        )


def _tenant(context: RequestContext) -> str:
    return "" if context.principal is None else context.principal.tenant.slug


def _give_up(
    client: Client,
    target: Target,
    attempt: Attempt,
    connection: UpstreamConnection | None,
    outcome: Outcome,
    began: float,
) -> None:
    client.on_disconnect(None)
    if connection is not None:
        connection.abort()
        target.pool.release(connection)
    attempt.ended(outcome, perf_counter() - began)
