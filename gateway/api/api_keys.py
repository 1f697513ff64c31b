"""``/v1/api-keys``: made, listed, read, rotated and revoked by whoever's role allows it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from gateway.api.answers import answered, created, read
from gateway.api.conditions import TAGGED
from gateway.api.pages import ListCursors, ListQuery, Page
from gateway.authorization.guards import requires
from gateway.request.context import principal_of
from gateway.request.entity_tags import Tagged, representation_of
from gateway.routing.strict_route import StrictRoute
from gateway.services import services_of
from tenants.api_keys.issuer import Issuer
from tenants.api_keys.schemas import ApiKeyIssued, ApiKeyShown, CreateApiKey, RotateApiKey
from tenants.errors import NotFound
from tenants.identifiers import API_KEY, ApiKeyId
from tenants.identifiers import read as read_id

_PATH = "/v1/api-keys"
_REPRESENTATION = representation_of(ApiKeyShown)
_PLAIN_ROTATION = RotateApiKey()  # of a request without a body

router = APIRouter(route_class=StrictRoute, tags=["api keys"])


@router.post(_PATH, status_code=201, response_model=ApiKeyIssued, dependencies=[Depends(requires("api_keys:create"))])
async def create_key(request: Request, wanted: CreateApiKey) -> Response:
    """Make a key. Its secret stands in this answer and in no other."""
    services, issuer = services_of(request), _issuer(request)
    tenant = issuer.principal.tenant
    async with services.database.control(tenant) as session:
        issued = await services.features.api_keys.create(session, tenant.id, issuer, wanted)
    shown = ApiKeyIssued.with_secret(issued.key, issued.secret)
    return created(shown, f"{_PATH}/{shown.id}")


@router.get(_PATH, response_model=Page[ApiKeyShown], dependencies=[Depends(requires("api_keys:read"))])
async def list_keys(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """The tenant's keys, revoked ones too, the newest first."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    cursors = ListCursors(services.settings.secret, "api-keys", tenant.id, query)
    async with services.database.control(tenant) as session:
        rows = await services.features.api_keys.page(session, tenant.id, cursors.keyset())
    shown, following = cursors.cut(rows)
    return answered(
        Page(data=[ApiKeyShown.of(each) for each in shown], has_more=following is not None, next_cursor=following)
    )


@router.get(
    f"{_PATH}/{{key_id}}", response_model=ApiKeyShown, dependencies=[Depends(requires("api_keys:read"))], **TAGGED
)
async def read_key(request: Request, key_id: str) -> Response:
    """One key, without its secret."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        key = await services.features.api_keys.read(session, tenant.id, _id(key_id))
    return read(request, ApiKeyShown.of(key), Tagged(_REPRESENTATION, key.id.bytes, tenant.id.bytes), key.version)


@router.post(
    f"{_PATH}/{{key_id}}/rotate",
    status_code=201,
    response_model=ApiKeyIssued,
    dependencies=[Depends(requires("api_keys:rotate"))],
)
async def rotate_key(request: Request, key_id: str, wanted: RotateApiKey = _PLAIN_ROTATION) -> Response:
    """Make a key that takes the place of this one, which ends with the overlap."""
    services, issuer = services_of(request), _issuer(request)
    tenant = issuer.principal.tenant
    async with services.database.control(tenant) as session:
        issued = await services.features.api_keys.rotate(session, tenant.id, issuer, _id(key_id), wanted)
    shown = ApiKeyIssued.with_secret(issued.key, issued.secret)
    return created(shown, f"{_PATH}/{shown.id}")


@router.post(f"{_PATH}/{{key_id}}/revoke", status_code=204, dependencies=[Depends(requires("api_keys:revoke"))])
async def revoke_key(request: Request, key_id: str) -> Response:
    """End this key for good, on every worker."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        await services.features.api_keys.revoke(session, tenant.id, _id(key_id))
    return Response(status_code=204)


def _issuer(request: Request) -> Issuer:
    principal = principal_of(request.scope)
    return Issuer(principal, frozenset(services_of(request).authorizer.permissions_of(principal)))


def _id(text: str) -> ApiKeyId:
    found = read_id(API_KEY, text)
    if found is None:
        raise NotFound
    return ApiKeyId(found)
