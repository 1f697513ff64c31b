"""Creates a tenant in one transaction."""

from dataclasses import dataclass

from tenants.api_keys.schemas import CreateApiKey
from tenants.api_keys.service import ApiKeys, IssuedKey
from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.sessions import ControlSession
from tenants.directory import repository
from tenants.directory.models import Tenant
from tenants.directory.service import audited
from tenants.identifiers import TenantId, new_id
from tenants.members.service import Members
from tenants.onboarding.schemas import CreateTenant
from tenants.roles.builtin import BuiltInRole
from tenants.users.service import Users

_FIRST_KEY = CreateApiKey(name="first key", role=BuiltInRole.ADMIN)


@dataclass(frozen=True, slots=True)
class CreatedTenant:
    """A new tenant and its first key, whose secret is stored nowhere."""

    tenant: Tenant
    key: IssuedKey


class Onboarding:
    """Every call runs in the caller's transaction."""

    def __init__(self, api_keys: ApiKeys, users: Users, members: Members) -> None:
        self._api_keys = api_keys
        self._users = users
        self._members = members

    async def create(self, session: ControlSession, request: CreateTenant, *, origin: Origin) -> CreatedTenant:
        """Row, schema, role, owner and first key. Raises SlugTaken and UnknownPlan.

        An unknown owner is created without a password and has to be invited.
        """
        tenant = await repository.add(session, TenantId(new_id()), request.slug, request.name, request.plan)
        await audit.record(session, tenant.id, origin, "tenant.created", tenant.id, after=audited(tenant))
        if request.owner_email is not None:
            owner = await self._users.ensure(session, request.owner_email)
            await self._members.put(session, tenant.id, owner.id, [BuiltInRole.OWNER], origin=origin)
        key = await self._api_keys.create(session, tenant.id, None, _FIRST_KEY, origin=origin)
        return CreatedTenant(tenant, key)
