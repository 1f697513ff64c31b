"""SQL of the control table ``memberships``."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    column,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import Insert, insert

from tenants.api_keys.lineage import MemberNow, OwnerKind
from tenants.api_keys.models import ApiKey
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.database.statements import Work, prepare
from tenants.directory.models import Tenant
from tenants.identifiers import TenantId, UserId
from tenants.members.models import Membership
from tenants.roles.builtin import BuiltInRole
from tenants.users.models import User

MOST_ADMINS = 10  # of a tenant who are notified of what concerns no other person


@dataclass(frozen=True, slots=True)
class Member:
    """A member: the rows of user, tenant and membership."""

    user: User
    tenant: Tenant
    membership: Membership

    @property
    def id(self) -> UserId:
        """The user's id, by which pages of members are ordered."""
        return self.user.id

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of the member's roles in this tenant, given by hand or by groups."""
        return tuple(dict.fromkeys((*self.membership.roles, *self.membership.group_roles)))

    @property
    def is_disabled(self) -> bool:
        """Whether the person cannot sign in to this tenant: disabled in it, or everywhere."""
        return self.membership.disabled_at is not None or self.user.disabled_at is not None

    @property
    def version(self) -> int:
        """Grows with every change of the person or the membership."""
        return self.user.version + self.membership.version


_requested = (
    func.unnest(*(bindparam(name, type_=ARRAY(Uuid)) for name in ("tenants", "users")))
    .table_valued(*(column(name, Uuid) for name in ("tenant_id", "user_id")))
    .render_derived()
)
_ROLES_NOW = prepare(
    select(
        _requested.c.tenant_id, _requested.c.user_id, Membership.roles + Membership.group_roles, Membership.created_at
    )
    .join(Membership, and_(Membership.tenant_id == _requested.c.tenant_id, Membership.user_id == _requested.c.user_id))
    .join(User, User.id == Membership.user_id)
    .where(User.disabled_at.is_(None), Membership.disabled_at.is_(None))
)


async def roles_now(
    reads: Work, people: Collection[tuple[TenantId, UserId]]
) -> dict[tuple[TenantId, UserId], MemberNow]:
    """Those of these people who are members of the tenant beside them, and not disabled."""
    given = {"tenants": [tenant for tenant, _ in people], "users": [user for _, user in people]}
    rows = await reads.rows(_ROLES_NOW, given)
    return {(tenant, user): MemberNow(tuple(dict.fromkeys(roles)), since) for tenant, user, roles, since in rows}


async def find(session: ControlSession, tenant: TenantId, user: UserId, *, hold: bool = False) -> Member | None:
    """The member with this user id, disabled or not; None without a membership.

    With ``hold``, neither the person nor roles and membership change before the transaction ends.
    """
    query = _members(tenant).where(User.id == user)
    held = query.with_for_update(read=True, of=(User, Membership))
    row = (await session.execute(held if hold else query)).first()
    return None if row is None else Member(*row)


async def find_by_email(session: ControlSession, tenant: TenantId, email: str) -> Member | None:
    """The member with this e-mail address, regardless of case."""
    row = (await session.execute(_members(tenant).where(func.lower(User.email) == func.lower(email)))).first()
    return None if row is None else Member(*row)


async def page(session: ControlSession, tenant: TenantId, keyset: Keyset) -> list[Member]:
    """A page of this tenant's members, in the order in which their accounts were created."""
    return [Member(*row) for row in (await session.execute(keyset.of(_members(tenant), User.id))).all()]


async def count(session: ControlSession, tenant: TenantId) -> int:
    """How many members the tenant has, disabled ones included."""
    query = select(func.count()).select_from(Membership).where(Membership.tenant_id == tenant)
    return await session.scalar(query) or 0


async def reachable(session: ControlSession, tenant: TenantId, users: Collection[UserId]) -> dict[UserId, str]:
    """The e-mail addresses of those of these people who are members and not disabled."""
    if not users:
        return {}
    rows = await session.execute(_active_addresses(tenant).where(Membership.user_id.in_(users)))
    return {row[0]: row[1] for row in rows}


async def reachable_admins(session: ControlSession, tenant: TenantId) -> dict[UserId, str]:
    """The e-mail addresses of the tenant's owners and admins who are not disabled: at most ``MOST_ADMINS``."""
    roles = (Membership.roles, Membership.group_roles)
    is_owner, is_admin = (
        or_(*(literal(role.value) == any_(each) for each in roles)) for role in (BuiltInRole.OWNER, BuiltInRole.ADMIN)
    )
    query = _active_addresses(tenant).where(or_(is_owner, is_admin))
    rows = await session.execute(query.order_by(is_owner.desc(), User.id).limit(MOST_ADMINS))
    return {row[0]: row[1] for row in rows}


def _active_addresses(tenant: TenantId) -> Select[UserId, str]:
    return (
        select(User.id, User.email)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.tenant_id == tenant, Membership.disabled_at.is_(None), User.disabled_at.is_(None))
    )


async def has_role(session: ControlSession, tenant: TenantId, role: str) -> bool:
    """Whether any member of the tenant has this role."""
    has_it = or_(literal(role) == any_(Membership.roles), literal(role) == any_(Membership.group_roles))
    query = select(Membership.user_id).where(Membership.tenant_id == tenant, has_it)
    return await session.scalar(query.limit(1)) is not None


async def has_other_owner(session: ControlSession, tenant: TenantId, user: UserId) -> bool:
    """Whether the tenant has an owner beside this one who is not disabled."""
    owners = (
        select(User.id)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.tenant_id == tenant, literal(BuiltInRole.OWNER.value) == any_(Membership.roles))
        .where(User.id != user, User.disabled_at.is_(None), Membership.disabled_at.is_(None))
    )
    return await session.scalar(owners.limit(1)) is not None


def _added(tenant: TenantId, user: UserId, roles: Sequence[str]) -> Insert:
    """The clock's time, not that of the transaction, which can have begun while an earlier membership made keys."""
    given = {"tenant_id": tenant, "user_id": user, "roles": list(roles), "created_at": func.clock_timestamp()}
    return insert(Membership).values(given)


async def put(session: ControlSession, tenant: TenantId, user: UserId, roles: Sequence[str]) -> None:
    """Insert or update the membership with exactly these roles."""
    added = _added(tenant, user, roles)
    changed = added.on_conflict_do_update(
        index_elements=[Membership.tenant_id, Membership.user_id], set_={"roles": added.excluded.roles}
    )
    await session.execute(changed)


async def insert_unless_member(session: ControlSession, tenant: TenantId, user: UserId, roles: Sequence[str]) -> bool:
    """Insert the membership. One that exists stays as it is: False."""
    added = _added(tenant, user, roles)
    return await session.scalar(added.on_conflict_do_nothing().returning(Membership.user_id)) is not None


async def memberships(
    session: ControlSession, tenant: TenantId, users: Collection[UserId]
) -> dict[UserId, tuple[Sequence[str], Sequence[str]]]:
    """The roles of each of these members: those given by hand, and those of groups."""
    query = select(Membership.user_id, Membership.roles, Membership.group_roles).where(*_these(tenant, users))
    return {user: (roles, group_roles) for user, roles, group_roles in await session.execute(query)}


async def set_group_roles(
    session: ControlSession, tenant: TenantId, users: Collection[UserId], roles: Sequence[str]
) -> None:
    """Replace the roles that these members have from groups."""
    changed = update(Membership).where(*_these(tenant, users)).values(group_roles=list(roles))
    await session.execute(changed.execution_options(synchronize_session=False))


async def set_roles(session: ControlSession, member: Member, roles: Sequence[str]) -> None:
    """Replace the roles that are given by hand."""
    member.membership.roles = list(roles)
    await session.flush()


async def set_disabled(session: ControlSession, member: Member, when: datetime | None) -> None:
    """Disable the member in this tenant since then; None enables."""
    member.membership.disabled_at = when
    await session.flush()


async def remove(session: ControlSession, tenant: TenantId, user: UserId) -> None:
    """Delete the membership."""
    await session.execute(delete(Membership).where(Membership.tenant_id == tenant, Membership.user_id == user))


def of_former_members(tenant: TenantId) -> ColumnElement[bool]:
    """The condition of keys that people own of a membership which they no longer have, as ``lineage.py`` reads rows."""
    is_persons = or_(
        ApiKey.owned_by == OwnerKind.USER.value,
        and_(ApiKey.owned_by.is_(None), ApiKey.created_by_user_id.is_not(None)),
    )
    owner = case((ApiKey.owned_by.is_(None), ApiKey.created_by_user_id), else_=ApiKey.owner_user_id)
    of_now = select(Membership.user_id).where(
        Membership.tenant_id == tenant,
        Membership.user_id == owner,
        Membership.created_at <= func.coalesce(ApiKey.owned_since, ApiKey.created_at),
    )
    return and_(ApiKey.tenant_id == tenant, is_persons, ~of_now.exists())


def _members(tenant: TenantId) -> Select[User, Tenant, Membership]:
    return (
        select(User, Tenant, Membership)
        .join(Membership, Membership.user_id == User.id)
        .join(Tenant, Tenant.id == Membership.tenant_id)
        .where(Tenant.id == tenant)
    )


def _these(tenant: TenantId, users: Collection[UserId]) -> tuple[ColumnElement[bool], ...]:
    listed = bindparam("users", list(users), type_=ARRAY(Uuid))
    return Membership.tenant_id == tenant, Membership.user_id == any_(listed)
