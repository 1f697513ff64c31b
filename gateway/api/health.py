"""``/livez``: the process answers. ``/readyz``: it can serve. Neither needs a credential, neither is ever stored."""

from typing import Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from gateway.authorization.guards import public
from gateway.health.readiness import Readiness

_NO_STORE = "no-store"


class Alive(BaseModel):
    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    status: Literal["ready"] = "ready"


def health_router(readiness: Readiness) -> APIRouter:
    """The two routes for one worker process."""
    router = APIRouter(tags=["health"], dependencies=[Depends(public)])

    @router.get("/livez")
    async def livez(response: Response) -> Alive:
        """200 while the event loop turns. A restart helps when it does not."""
        response.headers["cache-control"] = _NO_STORE
        return Alive()

    @router.get("/readyz")
    async def readyz(response: Response) -> Ready:
        """200 when requests can be served, 503 with the names of what is missing when they cannot."""
        await readiness.check()
        response.headers["cache-control"] = _NO_STORE
        return Ready()

    return router
