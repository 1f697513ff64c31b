"""``/metrics``: the metrics of all workers of this host, for Prometheus on the configured networks and for operators.

All other callers get 404. A request that a proxy has forwarded may come from anywhere, so its source address does not
count as one of the configured networks.
"""

from collections.abc import Iterable
from typing import Any

from fastapi import Request, Response

from gateway.authorization.guards import public, requires_operator_read
from gateway.metrics.recorder import Metrics
from gateway.metrics.worker_files import MEDIA_TYPE
from gateway.request.context import RequestContext, context_of
from gateway.request.source import parse_address
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from tenants.errors import NotFound
from tenants.principal import Operator
from tenants.values.networks import plain_network

_TEXT: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "text/plain": {
                "schema": {"type": "string", "description": "Prometheus's text format."},
                "example": "# TYPE tenantry_requests_total counter\n",
            }
        }
    }
}
_FORWARDED = frozenset({b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip"})


def metrics_router(metrics: Metrics, networks: Iterable[str]) -> ManagementRouter:
    """The route of one worker process. Raises ValueError when one of ``networks`` is neither address nor network."""
    router = ManagementRouter(tags=["health"])
    allowed = tuple(plain_network(each) for each in networks)

    def is_from_network(request: RequestContext) -> bool:
        address = None if _FORWARDED & request.fields.by_name.keys() else parse_address(request.client)
        return address is not None and any(address in network for network in allowed)

    @router.get("/metrics", response_class=Response, responses=_TEXT)
    @terms(public, query=None, any_host=True, errors=(NotFound,), operations=True)
    async def read_metrics(request: Request) -> Response:
        """Read the metrics of all workers of this host. 404 for other networks than the configured ones."""
        context = context_of(request.scope)
        if not (_is_reader(context.operator) or is_from_network(context)):
            raise NotFound
        return Response(await metrics.page(), media_type=MEDIA_TYPE)

    return router


def _is_reader(operator: Operator | None) -> bool:
    return operator is not None and operator.role in requires_operator_read.operator_roles
