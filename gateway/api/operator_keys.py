"""``/operator/v1/operator-keys``: the keys of the SaaS's own staff and services."""

from typing import Annotated

from fastapi import Query, Request, Response

from gateway.api.answers import answered, created, read
from gateway.api.pages import ListCursors, ListQuery, Page
from gateway.api.path_ids import OperatorKeyInPath
from gateway.authorization.guards import requires_operator, requires_operator_read
from gateway.request.entity_tags import Tagged, representation_of
from gateway.request.origin import origin_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.operator_keys.schemas import CreateOperatorKey, OperatorKeyCreated, OperatorKeyResponse

_PATH = "/operator/v1/operator-keys"
_ONE = f"{_PATH}/{{key_id}}"
_REPRESENTATION = representation_of(OperatorKeyResponse)

router = ManagementRouter(tags=["operator keys"])


@router.post(_PATH, status_code=201, response_model=OperatorKeyCreated)
@terms(requires_operator)
async def create_operator_key(request: Request, body: CreateOperatorKey) -> Response:
    """Create an operator key. The secret is returned once, in this response."""
    services = services_of(request)
    async with services.database.control() as session:
        issued = await services.features.operator_keys.create(session, body, origin=origin_of(request))
    response = OperatorKeyCreated.with_secret(issued.key, issued.secret)
    return created(response, f"{_PATH}/{response.id}")


@router.get(_PATH, response_model=Page[OperatorKeyResponse])
@terms(requires_operator_read)
async def list_operator_keys(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """List all operator keys, including expired and revoked ones, newest first."""
    services = services_of(request)
    cursors = ListCursors(services.settings.secret, "operator-keys", None, query)
    async with services.database.control() as session:
        rows = await services.features.operator_keys.page(session, cursors.keyset())
    return answered(cursors.page(rows, OperatorKeyResponse.of))


@router.get(_ONE, response_model=OperatorKeyResponse)
@terms(requires_operator_read, tagged=True)
async def read_operator_key(request: Request, key_id: OperatorKeyInPath) -> Response:
    """Read one operator key, without its secret."""
    services = services_of(request)
    async with services.database.control() as session:
        key = await services.features.operator_keys.read(session, key_id)
    return read(request, OperatorKeyResponse.of(key), Tagged(_REPRESENTATION, key.id.bytes), key.version)


@router.post(f"{_ONE}/revoke", status_code=204)
@terms(requires_operator, ends_rights=True)
async def revoke_operator_key(request: Request, key_id: OperatorKeyInPath) -> Response:
    """Revoke the key permanently, on every worker. Also the calling key's own."""
    services = services_of(request)
    async with services.database.control() as session:
        await services.features.operator_keys.revoke(session, key_id, origin=origin_of(request))
    return Response(status_code=204)
