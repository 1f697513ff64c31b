"""``/metrics``: what Prometheus reads of all workers of this host. For the networks that are named, and for operators.

To everybody else it looks as if it did not exist. A request that came through a proxy is not from where it seems to be
unless that proxy is believed, so none that says so is taken for a neighbour.
"""

from collections.abc import Iterable
from ipaddress import ip_network

from fastapi import APIRouter, Depends, Request, Response

from gateway.authorization.guards import public
from gateway.metrics.recorder import Metrics
from gateway.metrics.worker_files import MEDIA_TYPE
from gateway.request.context import RequestContext, context_of
from gateway.request.source import parse_address
from tenants.errors import NotFound

_FORWARDED = frozenset({b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip"})


def metrics_router(metrics: Metrics, networks: Iterable[str]) -> APIRouter:
    """The route for one worker process. Raises ValueError when one of ``networks`` is neither address nor network."""
    router = APIRouter(dependencies=[Depends(public)], include_in_schema=False)
    allowed = tuple(ip_network(each) for each in networks)

    def is_neighbour(request: RequestContext) -> bool:
        address = None if _FORWARDED & request.fields.by_name.keys() else parse_address(request.client)
        return address is not None and any(address in network for network in allowed)

    @router.get("/metrics")
    async def read_metrics(request: Request) -> Response:
        """Prometheus's text format. Raises NotFound for anybody else."""
        context = context_of(request.scope)
        if context.operator is None and not is_neighbour(context):
            raise NotFound
        return Response(await metrics.page(), media_type=MEDIA_TYPE)

    return router
