"""``/livez`` and ``/readyz``: the probes of a worker process. No credential, any query, never stored."""

from typing import Annotated, Literal

from fastapi import Response
from pydantic import BaseModel, Field

from gateway.api.answers import answered
from gateway.authorization.guards import public
from gateway.health.readiness import Readiness
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms


class Alive(BaseModel):
    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    status: Literal["ready"] = "ready"


class ReadyInPart(Ready):
    tenants_behind: Annotated[
        int, Field(description="Tenants that `tenantry migrate` would change, served meanwhile.", examples=[2])
    ]
    tenants_unservable: Annotated[int, Field(description="Tenants that get 503 until they are migrated.", examples=[0])]
    routes_unavailable: Annotated[
        int,
        Field(
            description="Proxied routes that get 503 from this worker: a part of them is missing here.", examples=[0]
        ),
    ]


def health_router(readiness: Readiness) -> ManagementRouter:
    """The two routes for one worker process."""
    router = ManagementRouter(tags=["health"])

    @router.get("/livez", response_model=Alive)
    @terms(public, query=None, any_host=True, operations=True)
    async def read_liveness() -> Response:
        """Read whether the worker process runs. Restart it when it does not answer."""
        return answered(Alive())

    @router.get("/readyz", response_model=Ready | ReadyInPart)
    @terms(public, query=None, any_host=True, operations=True)
    async def read_readiness() -> Response:
        """Read whether requests can be served. Otherwise 503, with the names of what is missing in `detail`.

        Tenants whose schemas are behind are counted, and so are proxied routes that cannot be served here. They leave
        the worker ready, because it serves all others.
        """
        fleet, routes = await readiness.check(), readiness.routes_unavailable
        if not (fleet.behind or fleet.unservable or routes):
            return answered(Ready())
        return answered(
            ReadyInPart(tenants_behind=fleet.behind, tenants_unservable=fleet.unservable, routes_unavailable=routes)
        )

    return router
