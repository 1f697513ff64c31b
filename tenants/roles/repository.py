"""SQL of the control table ``roles``."""

from collections.abc import Collection, Sequence

from sqlalchemy import ARRAY, Uuid, any_, bindparam, delete, select

from tenants.database.sessions import ControlSession
from tenants.database.statements import Work, prepare
from tenants.identifiers import RoleId, TenantId
from tenants.roles.models import Role
from tenants.roles.role_set import RoleDefinition

_BY_TENANTS = prepare(
    select(Role.tenant_id, Role.name, Role.permissions, Role.inherits).where(
        Role.tenant_id == any_(bindparam("tenants", type_=ARRAY(Uuid)))
    )
)


async def definitions(reads: Work, tenants: Collection[TenantId]) -> dict[TenantId, list[RoleDefinition]]:
    """The own roles of each of these tenants."""
    found: dict[TenantId, list[RoleDefinition]] = {tenant: [] for tenant in tenants}
    for tenant, name, permissions, inherits in await reads.rows(_BY_TENANTS, {"tenants": list(tenants)}):
        found[tenant].append(RoleDefinition(name, tuple(permissions), tuple(inherits)))
    return found


async def all_of(session: ControlSession, tenant: TenantId) -> Sequence[Role]:
    """The tenant's own roles; their number is bounded."""
    return (await session.scalars(select(Role).where(Role.tenant_id == tenant).order_by(Role.id))).all()


async def find(session: ControlSession, tenant: TenantId, role: RoleId) -> Role | None:
    """One own role of this tenant."""
    return await session.scalar(select(Role).where(Role.tenant_id == tenant, Role.id == role))


async def remove(session: ControlSession, role: RoleId) -> None:
    """Delete the row."""
    await session.execute(delete(Role).where(Role.id == role))
