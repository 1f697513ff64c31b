"""``/v1/api-keys``: created, listed, read, changed, rotated, disabled and revoked by callers whose role allows it."""

from functools import partial
from typing import Annotated

from fastapi import Query, Request, Response

from gateway.api.answers import answered, created, read
from gateway.api.api_key_filters import ApiKeyQuery
from gateway.api.pages import ListCursors, ListQuery, Page
from gateway.api.path_ids import ApiKeyInPath
from gateway.authorization.guards import requires
from gateway.request.context import principal_of
from gateway.request.entity_tags import Tagged, representation_of
from gateway.request.origin import origin_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.query import flag_of, flag_parameter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.api_keys.changes import KeyIsOver, WiderThanCaller
from tenants.api_keys.descendants.service import TooManyKeys
from tenants.api_keys.family import TooManyLimits
from tenants.api_keys.filters import ListedKey
from tenants.api_keys.issuer import Issuer, NoServiceKeys
from tenants.api_keys.lineage import TooManyOwners
from tenants.api_keys.schemas import ApiKeyCreated, ApiKeyResponse, ChangeApiKey, CreateApiKey, RotateApiKey
from tenants.api_keys.service import IssuedKey, KeyHasEnded, KeyIsDisabled
from tenants.database.sessions import ControlSession
from tenants.identifiers import ApiKeyId, TenantId

_PATH = "/v1/api-keys"
_ONE = f"{_PATH}/{{key_id}}"
_REPRESENTATION = representation_of(ApiKeyResponse)
_DESCENDANTS = flag_parameter("descendants", "Whether all that the key made is revoked, too, transitively.")
_DEFAULT_ROTATION = RotateApiKey()  # of a request without a body

router = ManagementRouter(tags=["api keys"])


@router.post(_PATH, status_code=201, response_model=ApiKeyCreated)
@terms(requires("api_keys:create"), errors=(NoServiceKeys, TooManyLimits, TooManyOwners))
async def create_api_key(request: Request, body: CreateApiKey) -> Response:
    """Create an API key. The secret is returned once, in this response."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        issuer = await _issuer(request, session)
        issued = await services.features.api_keys.create(session, tenant.id, issuer, body, origin=origin_of(request))
    return _created(issued)


@router.get(_PATH, response_model=Page[ApiKeyResponse])
@terms(requires("api_keys:read"))
async def list_api_keys(request: Request, query: Annotated[ApiKeyQuery, Query()]) -> Response:
    """List the tenant's API keys. Ended ones are included; the newest comes first."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    cursors = ListCursors(services.settings.secret, "api-keys", tenant.id, query)
    async with services.database.control(tenant) as session:
        rows = await services.features.api_keys.page(session, tenant.id, cursors.keyset(), query.selected())
    return answered(cursors.page(rows, _shown))


@router.get(_ONE, response_model=ApiKeyResponse)
@terms(requires("api_keys:read"), tagged=True)
async def read_api_key(request: Request, key_id: ApiKeyInPath) -> Response:
    """Read one API key. Its secret is not stored. The ETag does not change with the key's use."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        found = await services.features.api_keys.listed(session, tenant.id, key_id)
    return read(request, _shown(found), _tagged(key_id, tenant.id), found.key.version)


@router.patch(_ONE, response_model=ApiKeyResponse)
@terms(
    requires("api_keys:update"),
    tagged=True,
    errors=(KeyIsOver, TooManyKeys, TooManyLimits, WiderThanCaller),
    ends_rights=True,
)
async def update_api_key(request: Request, key_id: ApiKeyInPath, body: ChangeApiKey) -> Response:
    """Change an API key. A key that holds more than you do can only be narrowed.

    Limits replace those that the key was given itself; they bind its successors and the keys that it made.
    """
    services, tenant = services_of(request), principal_of(request.scope).tenant
    tagged = _tagged(key_id, tenant.id)
    expected = services.tags.expected(tagged, request.scope)
    async with services.database.control(tenant) as session:
        issuer = await _issuer(request, session, serialised=True)
        await services.features.key_changes.change(
            session, tenant.id, issuer, key_id, body, origin=origin_of(request), versions=expected
        )
        found = await services.features.api_keys.listed(session, tenant.id, key_id)
    return answered(_shown(found), services.tags.of(tagged, found.key.version))


@router.post(f"{_ONE}/rotate", status_code=201, response_model=ApiKeyCreated)
@terms(requires("api_keys:rotate"), errors=(KeyHasEnded, KeyIsDisabled, TooManyLimits), ends_rights=True)
async def rotate_api_key(request: Request, key_id: ApiKeyInPath, body: RotateApiKey = _DEFAULT_ROTATION) -> Response:
    """Rotate an API key. The response is its successor, with its secret; the old key expires after the overlap."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        issuer = await _issuer(request, session, serialised=True)
        issued = await services.features.api_keys.rotate(
            session, tenant.id, issuer, key_id, body, origin=origin_of(request)
        )
    return _created(issued)


@router.post(f"{_ONE}/disable", status_code=204)
@terms(requires("api_keys:revoke"), errors=(KeyIsOver,), ends_rights=True)
async def disable_api_key(request: Request, key_id: ApiKeyInPath) -> Response:
    """Disable an API key. It is refused by every worker until it is enabled."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        await services.features.key_changes.disable(session, tenant.id, key_id, origin=origin_of(request))
    return Response(status_code=204)


@router.post(f"{_ONE}/enable", status_code=204)
@terms(requires("api_keys:update"), errors=(KeyIsOver, WiderThanCaller))
async def enable_api_key(request: Request, key_id: ApiKeyInPath) -> Response:
    """Enable an API key that was disabled. It must not hold more than you do."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        issuer = await _issuer(request, session, serialised=True)
        await services.features.key_changes.enable(session, tenant.id, issuer, key_id, origin=origin_of(request))
    return Response(status_code=204)


@router.post(f"{_ONE}/revoke", status_code=204)
@terms(requires("api_keys:revoke"), query=(_DESCENDANTS,), ends_rights=True)
async def revoke_api_key(request: Request, key_id: ApiKeyInPath) -> Response:
    """Revoke an API key. It is refused by every worker, permanently.

    The keys that it made work on, bound by what it held; with `descendants=true` they are revoked with it. Up to 2,000
    end all or none; of more, the key ends first, and what ended before a failure stays so. Then send it again.
    `GET /v1/api-keys/{id}/descendants` shows them.
    """
    services, tenant, origin = services_of(request), principal_of(request.scope).tenant, origin_of(request)
    api_keys, transactions = services.features.api_keys, partial(services.database.control, tenant)
    if flag_of(request.scope, _DESCENDANTS):
        await api_keys.revoke_with_made(transactions, tenant.id, key_id, origin=origin)
    else:
        async with transactions() as session:
            await api_keys.revoke(session, tenant.id, key_id, origin=origin)
    return Response(status_code=204)


@router.get(f"{_ONE}/descendants", response_model=Page[ApiKeyResponse])
@terms(requires("api_keys:read"))
async def list_descendants(request: Request, key_id: ApiKeyInPath, query: Annotated[ListQuery, Query()]) -> Response:
    """List what an API key made, transitively. Ended keys are included.

    These are the keys that it created or rotated, those that it owns, and their successors.
    """
    services, tenant = services_of(request), principal_of(request.scope).tenant
    cursors = ListCursors(services.settings.secret, f"descendants {key_id}", tenant.id, query)
    async with services.database.control(tenant) as session:
        rows = await services.features.api_keys.page_of_descendants(session, tenant.id, key_id, cursors.keyset())
    return answered(cursors.page(rows, _shown))


def _shown(found: ListedKey) -> ApiKeyResponse:
    return ApiKeyResponse.of(found.key, found.use)


def _tagged(key: ApiKeyId, tenant: TenantId) -> Tagged:
    return Tagged(_REPRESENTATION, key.bytes, tenant.bytes)


def _created(issued: IssuedKey) -> Response:
    response = ApiKeyCreated.with_secret(issued.key, issued.secret)
    return created(response, f"{_PATH}/{response.id}")


async def _issuer(request: Request, session: ControlSession, *, serialised: bool = False) -> Issuer:
    """The caller, with its tenant's own roles as they are until the transaction ends."""
    services, principal = services_of(request), principal_of(request.scope)
    roles = services.features.roles
    held = await (roles.serialised if serialised else roles.held)(session, principal.tenant.id)
    return Issuer(principal, frozenset(services.authorizer.permissions_of(principal)), held.policy)
