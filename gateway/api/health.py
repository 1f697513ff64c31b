"""``/livez`` and ``/readyz``: the probes of a worker process. No credential, any query, never stored."""

from typing import Literal

from fastapi import Response
from pydantic import BaseModel

from gateway.api.answers import answered
from gateway.authorization.guards import public
from gateway.health.readiness import Readiness
from gateway.routing.api_router import APIRouter
from gateway.routing.terms import terms


class Alive(BaseModel):
    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    status: Literal["ready"] = "ready"


def health_router(readiness: Readiness) -> APIRouter:
    """The two routes for one worker process."""
    router = APIRouter(tags=["health"])

    @router.get("/livez", response_model=Alive)
    @terms(public, query=None, any_host=True, operations=True)
    async def read_liveness() -> Response:
        """Read whether the worker process runs. Restart it when it does not answer."""
        return answered(Alive())

    @router.get("/readyz", response_model=Ready)
    @terms(public, query=None, any_host=True, operations=True)
    async def read_readiness() -> Response:
        """Read whether requests can be served. Otherwise 503, with the names of what is missing in `detail`."""
        await readiness.check()
        return answered(Ready())

    return router
