"""The tenants there are: listed, read, suspended, resumed, moved to another plan, deleted."""

from collections.abc import Callable, Sequence

from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.directory import repository
from tenants.directory.models import Tenant
from tenants.errors import NotFound, PreconditionFailed
from tenants.identifiers import TenantId
from tenants.principal import TenantStatus


class Directory:
    """Every call runs in the caller's transaction."""

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

    async def change_plan(
        self, session: ControlSession, tenant: TenantId, plan: str, seen: Callable[[Tenant], bool] | None = None
    ) -> Tenant:
        """Move to another plan, in force on every worker within ID4's bound.

        ``seen`` is asked whether the caller knows the locked row as it is. Raises NotFound, UnknownPlan, and
        PreconditionFailed when the caller does not.
        """
        found = _found(await repository.find(session, tenant, lock=True))
        if seen is not None and not seen(found):
            raise PreconditionFailed
        await repository.set_plan(session, found, plan)
        return found

    async def delete(
        self, session: ControlSession, tenant: TenantId, seen: Callable[[Tenant], bool] | None = None
    ) -> None:
        """Row, keys, memberships, schema, role and data, for good. Raises NotFound; PreconditionFailed, as above."""
        found = _found(await repository.find(session, tenant, lock=True))
        if seen is not None and not seen(found):
            raise PreconditionFailed
        await repository.remove(session, tenant)


def _found(tenant: Tenant | None) -> Tenant:
    if tenant is None:
        raise NotFound
    return tenant
