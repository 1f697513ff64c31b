"""SQL of the control tables ``scim_users``, ``scim_groups`` and ``scim_group_members``."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Text,
    Uuid,
    any_,
    bindparam,
    delete,
    exists,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.directory.models import Tenant
from tenants.identifiers import ScimGroupId, TenantId, UserId
from tenants.members.models import Membership
from tenants.scim.models import ScimGroupMember, ScimGroupRow, ScimUserRow


@dataclass(frozen=True, slots=True)
class ProvisionedUser:
    """A user of SCIM: what the identity provider says, and the membership that it is about."""

    row: ScimUserRow
    membership: Membership

    @property
    def version(self) -> int:
        """Grows with every change of either."""
        return self.row.version + self.membership.version

    @property
    def updated_at(self) -> datetime:
        """The last change of either."""
        return max(self.row.updated_at, self.membership.updated_at)


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A member of a group, and the name by which the provider knows them."""

    user: UserId
    user_name: str


async def find_user(session: ControlSession, tenant: TenantId, user: UserId) -> ProvisionedUser | None:
    """One user that was provisioned in this tenant."""
    row = (await session.execute(_users(tenant).where(ScimUserRow.user_id == user))).first()
    return None if row is None else ProvisionedUser(*row)


async def has_user_name(session: ControlSession, tenant: TenantId, name: str) -> bool:
    """Whether a user of the tenant has this name, regardless of case."""
    query = select(ScimUserRow.user_id).where(ScimUserRow.tenant_id == tenant, same_text(ScimUserRow.user_name, name))
    return await session.scalar(query) is not None


async def page_of_users(
    session: ControlSession, tenant: TenantId, conditions: Iterable[ColumnElement[bool]], offset: int, limit: int
) -> tuple[int, Sequence[ProvisionedUser]]:
    """The number of users that match, and those of them from ``offset``, in the order of their ids."""
    query = _users(tenant).where(*conditions)
    total = await session.scalar(query.with_only_columns(func.count(), maintain_column_froms=True)) or 0
    rows = await session.execute(query.order_by(ScimUserRow.user_id).offset(offset).limit(limit))
    return total, [ProvisionedUser(*row) for row in rows]


async def provisioned(session: ControlSession, tenant: TenantId, users: Collection[UserId]) -> set[UserId]:
    """Those of these people who are users of SCIM in this tenant."""
    query = select(ScimUserRow.user_id).where(ScimUserRow.tenant_id == tenant, ScimUserRow.user_id == _any(users))
    return set(await session.scalars(query))


async def default_role(session: ControlSession, tenant: TenantId) -> str:
    """The role of new users."""
    return (await session.scalars(select(Tenant.scim_default_role).where(Tenant.id == tenant))).one()


async def find_group(session: ControlSession, tenant: TenantId, group: ScimGroupId) -> ScimGroupRow | None:
    """One group of this tenant."""
    return await session.scalar(select(ScimGroupRow).where(ScimGroupRow.tenant_id == tenant, ScimGroupRow.id == group))


async def has_group_name(session: ControlSession, tenant: TenantId, name: str) -> bool:
    """Whether a group of the tenant has this name, regardless of case."""
    query = select(ScimGroupRow.id).where(ScimGroupRow.tenant_id == tenant, same_text(ScimGroupRow.display_name, name))
    return await session.scalar(query) is not None


async def page_of_groups(
    session: ControlSession, tenant: TenantId, conditions: Iterable[ColumnElement[bool]], offset: int, limit: int
) -> tuple[int, Sequence[ScimGroupRow]]:
    """The number of groups that match, and those of them from ``offset``, in the order of their ids."""
    query = select(ScimGroupRow).where(ScimGroupRow.tenant_id == tenant, *conditions)
    total = await session.scalar(query.with_only_columns(func.count(), maintain_column_froms=True)) or 0
    return total, (await session.scalars(query.order_by(ScimGroupRow.id).offset(offset).limit(limit))).all()


async def keyset_page_of_groups(session: ControlSession, tenant: TenantId, keyset: Keyset) -> Sequence[ScimGroupRow]:
    """A page of groups by creation time."""
    query = select(ScimGroupRow).where(ScimGroupRow.tenant_id == tenant)
    return (await session.scalars(keyset.of(query, ScimGroupRow.id))).all()


async def member_ids(session: ControlSession, group: ScimGroupId) -> set[UserId]:
    """The members of a group."""
    return set(await session.scalars(select(ScimGroupMember.user_id).where(ScimGroupMember.group_id == group)))


async def sizes(session: ControlSession, groups: Collection[ScimGroupId]) -> dict[ScimGroupId, int]:
    """The number of members of each of these groups that has some."""
    query = select(ScimGroupMember.group_id, func.count()).where(ScimGroupMember.group_id == _any(groups))
    rows = await session.execute(query.group_by(ScimGroupMember.group_id))
    return {row[0]: row[1] for row in rows}


async def members_of(
    session: ControlSession, groups: Collection[ScimGroupId]
) -> Mapping[ScimGroupId, Sequence[GroupMember]]:
    """The members of each of these groups."""
    query = (
        select(ScimGroupMember.group_id, ScimGroupMember.user_id, ScimUserRow.user_name)
        .join(ScimUserRow, _is_member())
        .where(ScimGroupMember.group_id == _any(groups))
        .order_by(ScimGroupMember.user_id)
    )
    found: dict[ScimGroupId, list[GroupMember]] = {group: [] for group in groups}
    for group, user, name in await session.execute(query):
        found[group].append(GroupMember(user, name))
    return found


async def add_members(session: ControlSession, tenant: TenantId, group: ScimGroupId, users: Collection[UserId]) -> None:
    """Add users, none of whom is a member."""
    if users:
        listed = func.unnest(bindparam("users", list(users), type_=ARRAY(Uuid))).column_valued("user_id")
        rows = select(literal(group, Uuid), listed, literal(tenant, Uuid))
        await session.execute(insert(ScimGroupMember).from_select(["group_id", "user_id", "tenant_id"], rows))


async def remove_members(session: ControlSession, group: ScimGroupId, users: Collection[UserId]) -> None:
    """Remove users from a group."""
    if users:
        mine = delete(ScimGroupMember).where(ScimGroupMember.group_id == group)
        await session.execute(mine.where(ScimGroupMember.user_id == _any(users)))


async def touch(session: ControlSession, group: ScimGroupRow) -> None:
    """Count and date a change of the members."""
    group.updated_at = func.clock_timestamp()
    await session.flush()


async def remove_group(session: ControlSession, group: ScimGroupId) -> None:
    """Delete a group and its memberships."""
    await session.execute(delete(ScimGroupRow).where(ScimGroupRow.id == group))


async def group_roles(
    session: ControlSession, tenant: TenantId, users: Collection[UserId]
) -> dict[UserId, tuple[str, ...]]:
    """The roles that each of these users has from groups, sorted."""
    query = (
        select(ScimGroupMember.user_id, func.array_agg(ScimGroupRow.role.distinct(), type_=ARRAY(Text)))
        .join(ScimGroupRow, ScimGroupRow.id == ScimGroupMember.group_id)
        .where(ScimGroupMember.tenant_id == tenant, ScimGroupMember.user_id == _any(users))
        .where(ScimGroupRow.role.is_not(None))
        .group_by(ScimGroupMember.user_id)
    )
    found = {user: tuple(sorted(filter(None, roles))) for user, roles in await session.execute(query)}
    return {user: found.get(user, ()) for user in users}


async def has_role(session: ControlSession, tenant: TenantId, role: str) -> bool:
    """Whether a group is mapped to this role, or it is the role of new users."""
    mapped = exists().where(ScimGroupRow.tenant_id == tenant, ScimGroupRow.role == role)
    default = exists().where(Tenant.id == tenant, Tenant.scim_default_role == role)
    return bool(await session.scalar(select(mapped | default)))


def same_text(column: Any, value: str) -> ColumnElement[bool]:
    """The column has this text, regardless of case."""
    return func.lower(column) == func.lower(value)


def has_email(value: str, kind: str | None) -> ColumnElement[bool]:
    """The user has this e-mail address, of this type if one is given."""
    wanted = {"value": value} | ({} if kind is None else {"type": kind})
    return ScimUserRow.attributes.contains({"emails": [wanted]})


def has_member(user: UserId) -> ColumnElement[bool]:
    """The group has this member."""
    return exists().where(ScimGroupMember.group_id == ScimGroupRow.id, ScimGroupMember.user_id == user)


def nothing() -> ColumnElement[bool]:
    """A condition that no row meets."""
    return literal(value=False)


def _users(tenant: TenantId) -> Select[ScimUserRow, Membership]:
    return (
        select(ScimUserRow, Membership)
        .join(
            Membership,
            (Membership.tenant_id == ScimUserRow.tenant_id) & (Membership.user_id == ScimUserRow.user_id),
        )
        .where(ScimUserRow.tenant_id == tenant)
    )


def _is_member() -> ColumnElement[bool]:
    return (ScimUserRow.tenant_id == ScimGroupMember.tenant_id) & (ScimUserRow.user_id == ScimGroupMember.user_id)


def _any(ids: Collection[Any]) -> ColumnElement[Any]:
    return any_(bindparam(None, list(ids), type_=ARRAY(Uuid), unique=True))
