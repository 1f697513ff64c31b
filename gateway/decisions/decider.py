"""Decisions of the gate on requests that others have received, and for real: its own stages decide and charge.

What the stages change stays changed: windows, quota, usage, uses of keys, counts of decisions, failed credentials. Only
the permit of the plan's concurrency is returned at once, since it is not known here how long the request takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import unquote

import structlog
from starlette.types import Message, Scope

from gateway.authorization.authorizer import Authorizer
from gateway.authorization.guards import requires, requires_principal
from gateway.authorization.stage import DecisionCounts, check_permission
from gateway.decisions.targets import TargetReader
from gateway.gate.gate import Stage
from gateway.identity.stage import IdentityStage
from gateway.problems.documents import status_of
from gateway.problems.errors import Internal
from gateway.request.context import Closer, RequestContext
from gateway.request.fields import RequestFields
from gateway.request.route import Route, Terms
from gateway.request.source import UNKNOWN
from gateway.routing.stage import RoutingStage
from tenants.errors import TenantryError
from tenants.principal import Principal

TEMPLATE = "verify"  # of requests that are described by a permission alone; in usage by route
_CACHED_ROUTES = 1_024
_ALLOWED = 200

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AskedRequest:
    """A request that a decision is asked for: by method and path, by a permission, or by both.

    ``cost`` replaces that of the route. Without ``client`` a key that is bound to networks is refused, and the failed
    credentials of all requests without one are limited together.
    """

    credential: str | None = None
    principal: Principal | None = None  # in place of a credential
    method: str | None = None
    path: str | None = None  # percent-encoded, perhaps with a query
    permission: str | None = None
    cost: int | None = None
    host: bytes = b""
    client: str | None = None

    def context(self, request_id: str) -> RequestContext:
        """The context of a request without a body."""
        headers = [(b"host", self.host)]
        if self.credential is not None:
            headers.append((b"authorization", b"Bearer " + self.credential.encode()))
        scope: Scope = {
            "type": "http",
            "http_version": "1.1",
            "scheme": "http",
            "method": self.method or "",
            "path": "",
            "raw_path": b"",
            "root_path": "",
            "query_string": b"",
            "headers": headers,
            "client": None,
            "server": None,
            "state": {},
        }
        return RequestContext(scope, RequestFields.of(headers), _no_body, request_id, self.client or UNKNOWN)


class Decider:
    """One per worker, over the stages of its gate. ``count`` is called when a decision is taken."""

    def __init__(
        self,
        stages: Sequence[Stage],
        authorizer: Authorizer,
        *,
        counts: DecisionCounts,
        count: Closer,
    ) -> None:
        """Raises StopIteration when there is no stage that finds routes, or none that authenticates."""
        self._routing = next(each for each in stages if isinstance(each, RoutingStage))
        self._identity = next(each for each in stages if isinstance(each, IdentityStage))
        self._stages = [each for each in stages if each is not self._routing]
        self._authorizer = authorizer
        self._counts = counts
        self._count = count
        self._targets = TargetReader()

    async def decide(self, request: RequestContext, asked: AskedRequest) -> TenantryError | None:
        """What the request is refused with; None when it is admitted. An exception is a refusal, too (AZ2)."""
        error: TenantryError | None = None
        try:
            await self._pass(request, asked)
        except TenantryError as raised:
            error = raised.with_traceback(None)
        except Exception:  # noqa: BLE001 - every error is a refusal
            _log.exception("decision_failed", request_id=request.request_id)
            error = Internal()
        status = _ALLOWED if error is None else status_of(error)
        for closer in (*request.closers, self._count, *request.delivery_closers):
            closer(request, status)
        request.close()
        return error

    async def _pass(self, request: RequestContext, asked: AskedRequest) -> None:
        route = request.route = self._route(request, asked)
        for stage in self._stages:
            if stage is self._identity and asked.principal is not None:
                self._identity.identify(request, asked.principal)
                continue
            waiting = stage(request)
            if waiting is not None:
                await waiting
        if asked.path is not None and asked.permission is not None and request.principal is not None:
            check_permission(request.principal, asked.permission, self._authorizer, self._counts)
        if not route.method:
            await route.app(request.scope, _no_body, _send_nothing)  # raises NotFound or MethodNotAllowed

    def _route(self, request: RequestContext, asked: AskedRequest) -> Route:
        if asked.path is None:
            return _route_of_permission(asked.permission, asked.cost or 1)
        scope = request.scope
        head = self._targets.read((asked.method or "").encode(), asked.path.encode())
        path = head.path.decode("ascii")
        scope["method"], scope["path"], scope["raw_path"] = head.method, unquote(path), head.path
        self._routing(request)
        if request.route is None:
            raise LookupError("the routing stage has found no route")
        if asked.cost is None or not request.route.method:
            return request.route
        return _with_cost(request.route, asked.cost)


@lru_cache(_CACHED_ROUTES)
def _route_of_permission(permission: str | None, cost: int) -> Route:
    """What a request for this permission is charged by."""
    guard = requires_principal if permission is None else requires(permission)
    return Route("POST", TEMPLATE, Terms(guard, cost=cost), _never)


def _with_cost(route: Route, cost: int) -> Route:
    return replace(route, terms=replace(route.terms, cost=cost))


async def _never(_scope: Scope, _receive: object, _send: object) -> None:
    raise LookupError("a decision was served")


async def _no_body() -> Message:
    return {"type": "http.disconnect"}


async def _send_nothing(_message: Message) -> None:
    """A route that refuses raises before it answers."""
