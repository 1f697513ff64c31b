"""SQL of the control table ``memberships``."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from tenants.database.sessions import ControlSession
from tenants.directory.models import Tenant
from tenants.identifiers import TenantId, UserId
from tenants.members.models import Membership
from tenants.users.models import User


@dataclass(frozen=True, slots=True)
class Member:
    """A member: the rows of user and tenant, and the roles."""

    user: User
    tenant: Tenant
    roles: tuple[str, ...]


async def find(session: ControlSession, tenant: TenantId, user: UserId) -> Member | None:
    """The member with this user id, disabled or not; None without a membership."""
    query = (
        select(User, Tenant, Membership.roles)
        .join(Membership, Membership.user_id == User.id)
        .join(Tenant, Tenant.id == Membership.tenant_id)
        .where(User.id == user, Tenant.id == tenant)
    )
    row = (await session.execute(query)).first()
    return None if row is None else Member(row[0], row[1], tuple(row[2]))


async def put(session: ControlSession, tenant: TenantId, user: UserId, roles: Sequence[str]) -> None:
    """Insert or update the membership with exactly these roles."""
    added = insert(Membership).values(tenant_id=tenant, user_id=user, roles=list(roles))
    changed = added.on_conflict_do_update(
        index_elements=[Membership.tenant_id, Membership.user_id], set_={"roles": added.excluded.roles}
    )
    await session.execute(changed)
