"""``/v1/members/{id}/api-keys``: the keys that a member owns, as a whole."""

from functools import partial
from typing import Annotated

from fastapi import Request, Response
from pydantic import BaseModel, Field

from gateway.api.answers import answered
from gateway.api.grantors import grantor_of
from gateway.api.path_ids import UserInPath
from gateway.authorization.guards import requires
from gateway.request.context import principal_of
from gateway.request.origin import origin_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.api_keys.descendants.service import TooManyKeys
from tenants.members.keys import HoldsLess
from tenants.members.schemas import HandOverKeys
from tenants.roles.errors import ExceedsOwn

_KEYS = "/v1/members/{user_id}/api-keys"

router = ManagementRouter(tags=["members"])


class KeysChanged(BaseModel):
    """How many keys were changed."""

    keys: Annotated[int, Field(description="Keys that were changed, by this request.", examples=[3])]


@router.post(f"{_KEYS}/revoke", response_model=KeysChanged)
@terms(requires("api_keys:revoke"), ends_rights=True)
async def revoke_keys_of_member(request: Request, user_id: UserInPath) -> Response:
    """Revoke all API keys that a member owns, and those that these own.

    Up to 2,000 are revoked all or none; of more, what was revoked before a failure stays so. Then send it again.
    """
    services, tenant = services_of(request), principal_of(request.scope).tenant
    transactions = partial(services.database.control, tenant)
    keys = services.features.people.members.keys
    revoked = await keys.revoke(transactions, tenant.id, user_id, origin=origin_of(request))
    return answered(KeysChanged(keys=revoked))


@router.post(f"{_KEYS}/hand-over", response_model=KeysChanged)
@terms(requires("members:update"), errors=(ExceedsOwn, HoldsLess, TooManyKeys), ends_rights=True)
async def hand_over_keys_of_member(request: Request, user_id: UserInPath, body: HandOverKeys) -> Response:
    """Give all API keys that a member owns to another member.

    Their new owner's rights bound them from then on. You and the other member must hold what each of the keys holds.
    Secrets do not change.
    """
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        keys = services.features.people.members.keys
        given = await keys.hand_over(
            session, tenant.id, grantor_of(request), user_id, body.to, origin=origin_of(request)
        )
    return answered(KeysChanged(keys=len(given)))
