"""Creates a tenant in one transaction."""

from dataclasses import dataclass

from tenants.api_keys.schemas import CreateApiKey
from tenants.api_keys.service import ApiKeys, IssuedKey
from tenants.audit import operators
from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.sessions import ControlSession
from tenants.directory import repository
from tenants.directory.models import Tenant
from tenants.directory.service import audited
from tenants.identifiers import TENANT, TenantId, new_id, show
from tenants.invitations.models import Invitation
from tenants.invitations.schemas import CreateInvitation
from tenants.invitations.service import Invitations
from tenants.onboarding.schemas import CreateTenant
from tenants.roles.builtin import BuiltInRole

_FIRST_KEY = CreateApiKey(name="first key", role=BuiltInRole.ADMIN)


@dataclass(frozen=True, slots=True)
class CreatedTenant:
    """A new tenant, its first key, whose secret is stored nowhere, and the invitation of its owner."""

    tenant: Tenant
    key: IssuedKey
    invitation: Invitation | None  # None without an owner's address


class Onboarding:
    """Every call runs in the caller's transaction."""

    def __init__(self, api_keys: ApiKeys, invitations: Invitations) -> None:
        self._api_keys = api_keys
        self._invitations = invitations

    async def create(self, session: ControlSession, request: CreateTenant, *, origin: Origin) -> CreatedTenant:
        """Row, schema, role, first key, and an invitation of the owner. Raises SlugTaken and UnknownPlan."""
        tenant = await repository.add(session, TenantId(new_id()), request.slug, request.name, request.plan)
        await audit.record(session, tenant.id, origin, "tenant.created", tenant.id, after=audited(tenant))
        key = await self._api_keys.create(session, tenant.id, None, _FIRST_KEY, origin=origin)
        invitation = await self._invite_owner(session, tenant.id, request.owner_email, origin)
        name, after = show(TENANT, tenant.id), audited(tenant)
        await operators.record_by_operator(session, origin, "tenant.created", name, after=after)
        return CreatedTenant(tenant, key, invitation)

    async def _invite_owner(
        self, session: ControlSession, tenant: TenantId, email: str | None, origin: Origin
    ) -> Invitation | None:
        if email is None:
            return None
        wanted = CreateInvitation(email=email, role=BuiltInRole.OWNER)
        return await self._invitations.invite(session, tenant, None, wanted, origin=origin)
