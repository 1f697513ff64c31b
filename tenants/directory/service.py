"""The tenants there are: made, listed, suspended, resumed, moved to another plan, deleted."""

from collections.abc import Sequence
from dataclasses import dataclass

from tenants.api_keys.schemas import CreateApiKey
from tenants.api_keys.service import ApiKeys, IssuedKey
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.directory import repository
from tenants.directory.models import Tenant
from tenants.directory.schemas import CreateTenant
from tenants.errors import NotFound
from tenants.identifiers import TenantId, new_id
from tenants.members.service import put_member
from tenants.principal import TenantStatus
from tenants.roles.builtin import BuiltInRole
from tenants.users.service import Users

_FIRST_KEY = CreateApiKey(name="first key", role=BuiltInRole.ADMIN)


@dataclass(frozen=True, slots=True)
class CreatedTenant:
    """A tenant and its first key, whose secret is kept nowhere."""

    tenant: Tenant
    key: IssuedKey


class Directory:
    """Every call runs in the caller's transaction, so that a tenant is made whole or not at all."""

    def __init__(self, api_keys: ApiKeys, users: Users) -> None:
        self._api_keys = api_keys
        self._users = users

    async def create(self, session: ControlSession, wanted: CreateTenant) -> CreatedTenant:
        """Row, schema, role, owner and first key. Raises SlugTaken and UnknownPlan.

        An owner who is not known yet is made without a password: an invitation lets them in.
        """
        tenant = await repository.add(session, TenantId(new_id()), wanted.slug, wanted.name, wanted.plan)
        if wanted.owner_email is not None:
            owner = await self._users.ensure(session, wanted.owner_email)
            await put_member(session, tenant.id, owner.id, [BuiltInRole.OWNER])
        key = await self._api_keys.create(session, tenant.id, None, _FIRST_KEY)
        return CreatedTenant(tenant, key)

    async def page(self, session: ControlSession, keyset: Keyset) -> Sequence[Tenant]:
        """Tenants, suspended ones too."""
        return await repository.page(session, keyset)

    async def read(self, session: ControlSession, tenant: TenantId) -> Tenant:
        """One tenant. Raises NotFound."""
        return _found(await repository.find(session, tenant))

    async def read_by_slug(self, session: ControlSession, slug: str) -> Tenant:
        """One tenant, by the name that people use. Raises NotFound."""
        return _found(await repository.find_by_slug(session, slug))

    async def set_status(self, session: ControlSession, tenant: TenantId, status: TenantStatus) -> Tenant:
        """Suspend or resume; doing so twice is once. Raises NotFound."""
        found = _found(await repository.find(session, tenant, lock=True))
        found.status = status
        return found

    async def change_plan(self, session: ControlSession, tenant: TenantId, plan: str) -> Tenant:
        """Move to another plan, in force on every worker within ID4's bound. Raises NotFound and UnknownPlan."""
        found = _found(await repository.find(session, tenant, lock=True))
        await repository.set_plan(session, found, plan)
        return found

    async def delete(self, session: ControlSession, tenant: TenantId) -> None:
        """Row, keys, memberships, schema, role and data, for good. Raises NotFound."""
        _found(await repository.find(session, tenant, lock=True))
        await repository.remove(session, tenant)


def _found(tenant: Tenant | None) -> Tenant:
    if tenant is None:
        raise NotFound
    return tenant
