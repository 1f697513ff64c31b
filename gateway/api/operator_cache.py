"""``/operator/v1/cache/purge``: answers of upstreams that workers have stored, forgotten by operators."""

from fastapi import Request, Response

from gateway.authorization.guards import requires_operator
from gateway.request.origin import origin_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.routes.purges import PurgeSpec

router = ManagementRouter(tags=["routes"])


@router.post("/operator/v1/cache/purge", status_code=204)
@terms(requires_operator, ends_rights=True)
async def purge_cache(request: Request, body: PurgeSpec) -> Response:
    """Forget stored answers: those that match every member that is given, and all answers without members.

    No worker uses any of them when this is answered.
    """
    features = services_of(request).features
    async with features.database.control() as session:
        await features.cache_purges.purge(session, body, origin=origin_of(request))
    return Response(status_code=204)
