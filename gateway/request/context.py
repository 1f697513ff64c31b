"""What one request carries from stage to stage of the gate, and what endpoints may ask of it."""

import time
from collections.abc import Callable
from typing import Any

from starlette.types import Receive, Scope

from gateway.request.fields import RequestFields
from gateway.request.route import Route
from tenants.errors import Forbidden
from tenants.principal import Operator, Principal

_KEY = "tenantry"
Header = tuple[bytes, bytes]
Closer = Callable[["RequestContext", int], None]  # the status, 0 when the request ended without the end of an answer


class RequestContext:
    """Opened by the gate, filled on the way in, read by the access log on the way out."""

    __slots__ = (
        "account",
        "at_end",
        "client",
        "cost",
        "fields",
        "log",
        "operator",
        "principal",
        "receive",
        "request_id",
        "response_headers",
        "route",
        "scope",
        "slots",
        "started",
    )

    def __init__(self, scope: Scope, fields: RequestFields, receive: Receive, request_id: str, client: str) -> None:
        """Opened, where every later stage and Starlette's ``request.state`` can find it."""
        scope.setdefault("state", {})[_KEY] = self
        self.scope = scope
        self.receive = receive  # a stage may put another in its place
        self.request_id = request_id
        self.client = client  # source address, after the configured proxies were believed
        self.fields = fields
        self.started = time.perf_counter()  # seconds, monotonic
        self.route: Route | None = None
        self.principal: Principal | None = None
        self.operator: Operator | None = None
        self.account: Any = None  # what the throttle charges; its own
        self.slots: Any = None  # of the throttle's: one of them is this request's until it ends
        self.at_end: Closer | None = None  # told then, before all others
        self.cost = 0  # what the request counts for in its tenant's usage; 0 while nothing has let it pass
        self.response_headers: list[Header] = []  # added to the answer by the gate
        self.log: dict[str, object] = {}  # extra fields of the access line; never a secret

    @property
    def template(self) -> str | None:
        """The template of the route, never the path: paths hold ids, and whatever else a caller puts there."""
        return self.route.template or None if self.route is not None else None

    def close(self) -> None:
        """The request has ended: nobody shall find it any more.

        Context and scope hold each other: left so, all that a request was made of would wait for the collector
        (measured: 12 objects, and a collection for every 57 requests), and every request would work in other memory
        than the last.
        """
        del self.scope["state"][_KEY]


def context_of(scope: Scope) -> RequestContext:
    """The context of this request. Raises KeyError behind no gate, which is a fault of ours."""
    context: RequestContext = scope["state"][_KEY]
    return context


def principal_of(scope: Scope) -> Principal:
    """The tenant principal, on routes that ``requires`` guards."""
    principal = context_of(scope).principal
    if principal is None:
        raise Forbidden(detail="a guarded endpoint ran without a principal")
    return principal
