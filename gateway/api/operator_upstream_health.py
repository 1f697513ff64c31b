"""``/operator/v1/upstreams/{name}/health``: the targets of an upstream, as this worker sees them."""

import os

from fastapi import Request, Response

from gateway.api.answers import answered
from gateway.api.operator_upstreams import UpstreamInPath
from gateway.authorization.guards import requires_operator_read
from gateway.metrics.process import WORKERS
from gateway.proxy.targets.samples import READY
from gateway.proxy.targets.schemas import UpstreamHealth
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.errors import NotFound

router = ManagementRouter(tags=["upstreams"])


@router.get("/operator/v1/upstreams/{name}/health", response_model=UpstreamHealth)
@terms(requires_operator_read)
async def read_upstream_health(request: Request, name: UpstreamInPath) -> Response:
    """Read the health of an upstream's targets.

    All but `ready_workers` and `workers` is the view of the one worker that answers: ask again to see another. Only
    metrics cover the workers of all hosts.
    """
    services = services_of(request)
    upstream = services.proxy.upstreams.get(name)
    if upstream is None:
        raise NotFound
    ready, workers = await services.metrics.totals(READY, WORKERS)

    def ready_workers(target: str) -> int | None:
        count = ready.get((name, target))
        return None if count is None else int(count)

    alive = int(workers[()]) if () in workers else None
    return answered(UpstreamHealth.of(upstream, os.getpid(), alive, ready_workers))
