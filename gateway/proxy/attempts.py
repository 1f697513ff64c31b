"""Has a request answered by a target of its upstream, in as many attempts as may be made (PX10).

What may be sent again (RFC 9110 section 9.2.2, RFC 9112 section 9.3.1), always before the first byte of an answer:

- any request of which nothing has reached the upstream: no connection, or one that had ended before it was written to;
- a request with an idempotent method whose connection ended. On a connection that had been used before, the upstream
  had probably closed it: this costs neither a retry of the route nor of the budget;
- nothing after a deadline for the answer has passed: the target may be at work, and the caller has waited long enough.

A body that is streamed is sent once it has begun to be sent, and never again.
"""

from dataclasses import dataclass
from http import HTTPMethod
from time import perf_counter

from starlette.types import Message, Receive

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
from gateway.proxy.request_body import NO_BODY, ClientLeft, Pump, RequestBody
from gateway.proxy.request_head import RequestHeads
from gateway.proxy.targets.outcomes import Outcome
from gateway.proxy.targets.target import Attempt, Target
from gateway.proxy.targets.upstream import Upstream
from gateway.request.client import Client
from gateway.request.context import RequestContext
from tenants.routes.schemas import RouteSpec

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})  # RFC 9110 section 9.2.2
_NOTHING_SENT = (ConnectFailed, ConnectTimedOut, TooManyConnections)
_MOST_STALE = 3  # connections of one request that had been closed


async def _no_body() -> Message:
    return {"type": "http.disconnect"}


@dataclass(slots=True, frozen=True)
class Outgoing:
    """What is sent to the upstream beside the fields of the request."""

    method: str
    framing: bytes = b""  # header lines: how long the body is, and those of an upgrade
    body: RequestBody = NO_BODY
    receive: Receive = _no_body  # for a body that is streamed
    upgrade: bool = False


# Requests without a body share these.
BODYLESS = {each.value: Outgoing(each.value, NO_BODY.framing(each.value)) for each in HTTPMethod}


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


class _Retries:
    """Of one request that has failed once."""

    def __init__(self, left: int, upstream: Upstream, tenant: str, outgoing: Outgoing) -> None:
        self.attempts = 1
        self._left = left
        self._upstream = upstream
        self._tenant = tenant
        self._tried: tuple[Target, ...] = ()
        self._stale = _MOST_STALE
        self._idempotent = outgoing.method in _IDEMPOTENT and not (outgoing.body.streamed or outgoing.upgrade)

    def next_target(self, target: Target, error: UpstreamFailed) -> Target:
        """Where to try again after this failure. Raises what the caller is told where that may not be."""
        if not self._allowed(target, error):
            raise caller_error(error, target.name) from None
        self.attempts += 1
        return self._upstream.pick(self._tenant, self._tried)

    def _allowed(self, target: Target, error: UpstreamFailed) -> bool:
        lost = error if isinstance(error, ConnectionLost) and error.before_first_byte else None
        if lost is not None and (lost.unsent or (lost.stale and self._idempotent)):
            self._stale -= 1
            return self._stale >= 0
        self._tried = (*self._tried, target)
        if not (isinstance(error, _NOTHING_SENT) or (lost is not None and self._idempotent)) or not self._left:
            return False
        self._left -= 1
        return self._upstream.budget.allows_retry()


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
        tenant = "" if context.principal is None else context.principal.tenant.slug
        target = self._upstream.pick(tenant)
        retries: _Retries | None = None
        while True:
            attempt, began, connection, pump = target.began(self._meter), perf_counter(), None, None
            try:
                connection = target.pool.take() if retries is None else None  # other idle ones may be stale as well
                if connection is None:
                    connection = await target.pool.connect(tenant)
                client.on_disconnect(connection.abort)
                self._send(context, outgoing, target, connection)
                if outgoing.body.streamed:
                    pump = Pump(connection, outgoing.receive)
                head = await connection.head()
                return Answer(head, connection, target, attempt, client, pump, perf_counter() - began)
            except UpstreamFailed as error:
                error.__traceback__ = None  # the connection keeps the error, and its frames the connection: a cycle
                _give_back(client, target, connection)
                attempt.ended(Outcome.ABANDONED if client.left else outcome_of(error), perf_counter() - began)
                if client.left:
                    raise ClientLeft from None
                if pump is not None and pump.error is not None:
                    raise pump.error from None
                retries = retries or _Retries(self._retries, self._upstream, tenant, outgoing)
                target = retries.next_target(target, error)
                context.log["attempts"] = retries.attempts
            except BaseException:
                _give_back(client, target, connection)
                attempt.ended(Outcome.ABANDONED, perf_counter() - began)
                raise

    def _send(
        self, context: RequestContext, outgoing: Outgoing, target: Target, connection: UpstreamConnection
    ) -> None:
        head, body = self._heads.render(context, target.authority, outgoing.framing), outgoing.body
        if body is NO_BODY and not outgoing.upgrade:
            connection.send(head, method=outgoing.method, first_byte=self._first_byte)
            return
        connection.send(
            head,
            method=outgoing.method,
            body=body.data,
            more_body=body.streamed,
            length=body.announced,
            upgrade=outgoing.upgrade,
            first_byte=self._first_byte,
        )


def _give_back(client: Client, target: Target, connection: UpstreamConnection | None) -> None:
    client.on_disconnect(None)
    if connection is not None:
        target.pool.release(connection)
