"""The state of one request: created by the gate, filled by the stages, read by endpoints and the access log."""

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.request.fields import RequestFields
from gateway.request.route import Route
from tenants.errors import Forbidden
from tenants.principal import Operator, Principal

_KEY = "tenantry"
CUT_SHORT = "tenantry.cut_short"  # scope key under which the HTTP/1.1 server says why it ended a response early
Header = tuple[bytes, bytes]
LateHeaders = Callable[["RequestContext"], Iterable[Header]]
Closer = Callable[["RequestContext", int], None]  # the status, 0 when the request ended without a complete response


class Answer(Protocol):
    """Answers a request that is admitted, in place of the application of its route."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """As an ASGI application."""
        ...

    def refuse(self, response: Response) -> None:
        """Complete the response to a request that is not admitted."""
        ...


class RequestContext:
    """Each stage has its own attribute here. State that a stage needs only at the end belongs into a closer."""

    __slots__ = (
        "answer",
        "client",
        "closers",
        "cost",
        "delivery_closers",
        "fields",
        "late_headers",
        "log",
        "operator",
        "principal",
        "reason",
        "receive",
        "request_id",
        "response_headers",
        "route",
        "scope",
        "started",
    )

    def __init__(self, scope: Scope, fields: RequestFields, receive: Receive, request_id: str, client: str) -> None:
        """Store the context in the scope, where later stages and Starlette's ``request.state`` find it."""
        scope.setdefault("state", {})[_KEY] = self
        self.scope = scope
        self.receive = receive  # a stage may replace it
        self.request_id = request_id
        self.client = client  # source address; forwarded addresses count only from trusted proxies
        self.fields = fields
        self.closers: tuple[Closer, ...] = ()  # called in this order when the request ends
        self.delivery_closers: tuple[Closer, ...] = ()  # called after the others, when the response has left
        self.started = time.perf_counter()  # seconds, monotonic
        self.route: Route | None = None
        self.principal: Principal | None = None
        self.operator: Operator | None = None
        self.reason: str | None = None  # why an operator acts for the tenant of ``principal``
        self.cost = 0  # units of usage; 0 until every stage has admitted the request
        self.response_headers: list[Header] = []  # added to the response by the gate
        self.answer: Answer | None = None  # in place of the application of the route
        self.late_headers: LateHeaders | None = None  # added as well, and asked for when the response begins
        self.log: dict[str, object] = {}  # extra fields of the access log line; never a secret

    @property
    def template(self) -> str | None:
        """The template of the route, never the path: a path holds ids, and sometimes secrets by mistake."""
        return self.route.template or None if self.route is not None else None

    def on_close(self, closer: Closer) -> None:
        """Call ``closer`` when the request ends, before all closers that were there already."""
        self.closers = (closer, *self.closers)

    def on_delivered(self, closer: Closer) -> None:
        """Call ``closer`` when the kernel has taken the last byte of the response, or the request was cut short.

        For what a slow reader must not free before: with a small response it is the moment of the other closers.
        """
        self.delivery_closers = (closer, *self.delivery_closers)

    def close(self) -> None:
        """Remove the context from the scope.

        Context and scope refer to each other. Left so, every request would wait for the garbage collector (measured:
        12 objects a request, one collection every 57 requests) and would work in new memory.
        """
        del self.scope["state"][_KEY]


def context_of(scope: Scope) -> RequestContext:
    """The context of this request. Raises KeyError outside the gate, which is a programming error."""
    context: RequestContext = scope["state"][_KEY]
    return context


def principal_of(scope: Scope) -> Principal:
    """The tenant principal, on routes that ``requires`` guards."""
    principal = context_of(scope).principal
    if principal is None:
        raise Forbidden(detail="a guarded endpoint ran without a principal")
    return principal
