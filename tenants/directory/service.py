"""Tenants: list, read, change, suspend, resume, change plan, delete."""

from collections.abc import Sequence
from datetime import UTC, datetime

from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.directory import repository
from tenants.directory.errors import NoSuchTenant
from tenants.directory.models import Tenant
from tenants.directory.schemas import ChangeOwnTenant
from tenants.errors import NotFound, check_version
from tenants.identifiers import TENANT, TenantId, read
from tenants.principal import TenantStatus


class Directory:
    """Every call runs in the caller's transaction."""

    async def page(self, session: ControlSession, keyset: Keyset) -> Sequence[Tenant]:
        """A page of tenants, suspended ones included."""
        return await repository.page(session, keyset)

    async def read(self, session: ControlSession, tenant: TenantId) -> Tenant:
        """One tenant. Raises NotFound."""
        return _found(await repository.find(session, tenant))

    async def read_by_slug(self, session: ControlSession, slug: str) -> Tenant:
        """One tenant by its slug. Raises NotFound."""
        return _found(await repository.find_by_slug(session, slug))

    async def read_named(self, session: ControlSession, named: str) -> Tenant:
        """One tenant, by its slug or its id (tnt_…). Raises NoSuchTenant."""
        identifier = read(TENANT, named)
        if identifier is not None:
            found = await repository.find(session, TenantId(identifier))
        else:
            found = await repository.find_by_slug(session, named)
        if found is None:
            raise NoSuchTenant
        return found

    async def suspend(self, session: ControlSession, tenant: TenantId, reason: str | None = None) -> Tenant:
        """Refuse all its credentials until it is resumed. Again, it changes the reason, if one is given, and no time.

        Raises NotFound.
        """
        found = _found(await repository.find(session, tenant, lock=True))
        if found.status != TenantStatus.SUSPENDED:
            found.status, found.suspended_at, found.suspension_reason = TenantStatus.SUSPENDED, datetime.now(UTC), None
        found.suspension_reason = reason or found.suspension_reason
        await session.flush()
        return found

    async def resume(self, session: ControlSession, tenant: TenantId) -> Tenant:
        """Accept its credentials again; idempotent. Raises NotFound."""
        found = _found(await repository.find(session, tenant, lock=True))
        found.status, found.suspended_at, found.suspension_reason = TenantStatus.ACTIVE, None, None
        await session.flush()
        return found

    async def change(
        self,
        session: ControlSession,
        tenant: TenantId,
        requested: ChangeOwnTenant,
        versions: tuple[int, ...] | None = None,
    ) -> Tenant:
        """Change what a tenant decides about itself: the fields that were sent.

        Only at one of ``versions``; None allows any. Raises NotFound and PreconditionFailed.
        """
        found = _found(await repository.find(session, tenant, lock=True))
        check_version(found.version, versions)
        for name, value in requested.model_dump(exclude_unset=True).items():
            setattr(found, name, value)
        await session.flush()
        return found

    async def change_plan(
        self, session: ControlSession, tenant: TenantId, plan: str, versions: tuple[int, ...] | None = None
    ) -> Tenant:
        """Change the plan; takes effect on every worker within the bound of ID4.

        Only at one of ``versions``; None allows any. Raises NotFound, PreconditionFailed, UnknownPlan.
        """
        found = _found(await repository.find(session, tenant, lock=True))
        check_version(found.version, versions)
        await repository.set_plan(session, found, plan)
        return found

    async def delete(self, session: ControlSession, tenant: TenantId, versions: tuple[int, ...] | None = None) -> None:
        """Delete row, keys, memberships, schema, role and data for good. Raises NotFound and PreconditionFailed."""
        found = _found(await repository.find(session, tenant, lock=True))
        check_version(found.version, versions)
        await repository.remove(session, tenant)


def _found(tenant: Tenant | None) -> Tenant:
    if tenant is None:
        raise NotFound
    return tenant
