"""Groups of SCIM, and the roles that their members have from them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.directory import repository as directory
from tenants.directory.models import Tenant
from tenants.errors import NotFound, ValidationFailed, check_version
from tenants.identifiers import USER, ScimGroupId, TenantId, UserId, new_id, read, show
from tenants.members.service import Members
from tenants.roles.grants import Grantor, check_assignment
from tenants.roles.permissions import OWNERS_MANAGE
from tenants.roles.role_set import RoleSet
from tenants.roles.service import Roles
from tenants.scim import repository
from tenants.scim.documents import checked
from tenants.scim.errors import GroupNameTaken, InvalidPath, InvalidValue, NoSuchUser, TooManyGroupMembers
from tenants.scim.filters import group_conditions
from tenants.scim.models import ScimGroupRow
from tenants.scim.patches import apply
from tenants.scim.paths import Path
from tenants.scim.repository import GroupMember
from tenants.scim.schemas import GROUP_SCHEMA, MOST_MEMBERS, ScimGroupRequest, ScimPatch

Versions = tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class ProvisionedGroup:
    """A group with its members; None when they were not asked for."""

    row: ScimGroupRow
    members: Sequence[GroupMember] | None


class ScimGroups:
    """Every call runs in the caller's transaction. Changes of one tenant's members and groups are serialised."""

    def __init__(self, members: Members, roles: Roles) -> None:
        self._members = members
        self._roles = roles

    async def create(
        self, session: ControlSession, tenant: TenantId, requested: ScimGroupRequest, *, origin: Origin
    ) -> ProvisionedGroup:
        """Create a group, which gives no role. Raises GroupNameTaken, NoSuchUser and TooManyGroupMembers."""
        await self._roles.serialised(session, tenant)
        await self._check_name_is_free(session, tenant, requested.display_name)
        row = ScimGroupRow(id=ScimGroupId(new_id()), tenant_id=tenant, display_name=requested.display_name)
        row.external_id = requested.external_id
        session.add(row)
        await session.flush()
        members = _ids([each.value for each in requested.members or ()])
        await self._set_members(session, row, set(), members, origin)
        await _record(session, origin, "created", row, after=_recorded(row, added=members))
        return await self._with_members(session, row)

    async def page(
        self, session: ControlSession, tenant: TenantId, wanted: str | None, offset: int, limit: int, *, members: bool
    ) -> tuple[int, Sequence[ProvisionedGroup]]:
        """The number of groups that a filter matches, and at most ``limit`` of them. Raises InvalidFilter.

        With members there are fewer when they have more than ``MOST_MEMBERS`` together: a page is bounded.
        """
        total, rows = await repository.page_of_groups(session, tenant, group_conditions(wanted), offset, limit)
        if not members:
            return total, [ProvisionedGroup(row, None) for row in rows]
        shown = await self._bounded(session, rows)
        found = await repository.members_of(session, [row.id for row in shown])
        return total, [ProvisionedGroup(row, found[row.id]) for row in shown]

    async def read(
        self, session: ControlSession, tenant: TenantId, group: ScimGroupId, *, members: bool = True
    ) -> ProvisionedGroup:
        """One group. Raises NotFound."""
        row = await repository.find_group(session, tenant, group)
        if row is None:
            raise NotFound
        return await self._with_members(session, row) if members else ProvisionedGroup(row, None)

    async def replace(
        self,
        session: ControlSession,
        tenant: TenantId,
        group: ScimGroupId,
        requested: ScimGroupRequest,
        *,
        origin: Origin,
        versions: Versions = None,
    ) -> ProvisionedGroup:
        """Replace the attributes, and the members if they are given.

        Raises NotFound, PreconditionFailed, GroupNameTaken, NoSuchUser and TooManyGroupMembers.
        """
        row = await self._found(session, tenant, group, versions)
        before = await repository.member_ids(session, group)
        after = before if requested.members is None else _ids([each.value for each in requested.members])
        await self._change(session, row, requested, (before, after), origin)
        return await self._with_members(session, row)

    async def patch(
        self,
        session: ControlSession,
        tenant: TenantId,
        group: ScimGroupId,
        changes: ScimPatch,
        *,
        origin: Origin,
        versions: Versions = None,
    ) -> ScimGroupRow:
        """Make all changes or none. Raises as ``replace`` does, and InvalidPath, NoTarget and ReadOnlyAttribute."""
        row = await self._found(session, tenant, group, versions)
        before = await repository.member_ids(session, group)
        state = _State(row.display_name, row.external_id, set(before))
        for operation in changes.operations:
            apply(operation, state.change)
        await self._change(session, row, state.request(), (before, state.members), origin)
        return row

    async def remove(
        self,
        session: ControlSession,
        tenant: TenantId,
        group: ScimGroupId,
        *,
        origin: Origin,
        versions: Versions = None,
    ) -> None:
        """Delete a group; its members lose the role that it gave. Raises NotFound and PreconditionFailed."""
        row = await self._found(session, tenant, group, versions)
        users = await repository.member_ids(session, group)
        await _record(session, origin, "deleted", row, before=_recorded(row, removed=users))
        await repository.remove_group(session, group)
        if row.role is not None:
            await self._renew(session, tenant, users, origin)

    async def keyset_page(self, session: ControlSession, tenant: TenantId, keyset: Keyset) -> Sequence[ScimGroupRow]:
        """A page of the tenant's groups, for those who map them to roles."""
        return await repository.keyset_page_of_groups(session, tenant, keyset)

    async def map(
        self,
        session: ControlSession,
        tenant: TenantId,
        grantor: Grantor | None,
        group: ScimGroupId,
        role: str | None,
        *,
        origin: Origin,
        versions: Versions = None,
    ) -> ScimGroupRow:
        """Give all members of a group this role in place of the one before; None gives none.

        Raises NotFound, PreconditionFailed, ValidationFailed for a role that cannot be mapped, and ExceedsOwn.
        """
        known = await self._roles.serialised(session, tenant)
        row = (await self.read(session, tenant, group, members=False)).row
        check_version(row.version, versions)
        after = () if role is None else (role,)
        check_mappable(known, after)
        check_assignment(grantor, known, () if row.role is None else (row.role,), after)
        if role != row.role:
            before, row.role = _recorded(row), role
            await session.flush()
            await _record(session, origin, "mapped", row, before=before, after=_recorded(row))
            await self._renew(session, tenant, await repository.member_ids(session, group), origin)
        return row

    async def set_default_role(
        self,
        session: ControlSession,
        tenant: TenantId,
        grantor: Grantor | None,
        role: str,
        *,
        origin: Origin,
        versions: Versions = None,
    ) -> Tenant:
        """Give users that SCIM creates from now on this role. Raises as ``map`` does."""
        known = await self._roles.serialised(session, tenant)
        found = await directory.find(session, tenant)
        if found is None:
            raise NotFound
        check_version(found.version, versions)
        check_mappable(known, (role,))
        check_assignment(grantor, known, (found.scim_default_role,), (role,))
        if role != found.scim_default_role:
            before, found.scim_default_role = {"default_role": found.scim_default_role}, role
            await session.flush()
            after = {"default_role": role}
            await audit.record(session, tenant, origin, "scim_settings.updated", tenant, before=before, after=after)
        return found

    async def _found(
        self, session: ControlSession, tenant: TenantId, group: ScimGroupId, versions: Versions
    ) -> ScimGroupRow:
        await self._roles.serialised(session, tenant)
        row = (await self.read(session, tenant, group, members=False)).row
        check_version(row.version, versions)
        return row

    async def _with_members(self, session: ControlSession, row: ScimGroupRow) -> ProvisionedGroup:
        return ProvisionedGroup(row, (await repository.members_of(session, [row.id]))[row.id])

    async def _change(
        self,
        session: ControlSession,
        row: ScimGroupRow,
        requested: ScimGroupRequest,
        members: tuple[set[UserId], set[UserId]],
        origin: Origin,
    ) -> None:
        recorded, (before, after) = _recorded(row), members
        if requested.display_name.lower() != row.display_name.lower():
            await self._check_name_is_free(session, row.tenant_id, requested.display_name)
        row.display_name, row.external_id = requested.display_name, requested.external_id
        await session.flush()
        await self._set_members(session, row, before, after, origin)
        state = _recorded(row, added=after - before, removed=before - after)
        if state != recorded:
            await _record(session, origin, "updated", row, before=recorded, after=state)

    async def _check_name_is_free(self, session: ControlSession, tenant: TenantId, name: str) -> None:
        if await repository.has_group_name(session, tenant, name):
            raise GroupNameTaken

    async def _set_members(
        self, session: ControlSession, row: ScimGroupRow, before: set[UserId], after: set[UserId], origin: Origin
    ) -> None:
        added, removed = after - before, before - after
        if not (added or removed):
            return
        if len(after) > MOST_MEMBERS:
            raise TooManyGroupMembers
        if len(await repository.provisioned(session, row.tenant_id, added)) < len(added):
            raise NoSuchUser
        await repository.remove_members(session, row.id, removed)
        await repository.add_members(session, row.tenant_id, row.id, added)
        await repository.touch(session, row)
        if row.role is not None:
            await self._renew(session, row.tenant_id, added | removed, origin)

    async def _renew(self, session: ControlSession, tenant: TenantId, of: Collection[UserId], origin: Origin) -> None:
        roles = await repository.group_roles(session, tenant, of)
        await self._members.set_group_roles(session, tenant, roles, origin=origin)

    async def _bounded(self, session: ControlSession, rows: Sequence[ScimGroupRow]) -> Sequence[ScimGroupRow]:
        """The first rows whose members a page can hold, at least one."""
        sizes = await repository.sizes(session, [row.id for row in rows])
        total = 0
        for position, row in enumerate(rows):
            total += sizes.get(row.id, 0)
            if position and total > MOST_MEMBERS:
                return rows[:position]
        return rows


@dataclass(slots=True)
class _State:
    """A group while operations are applied to it."""

    display_name: Any
    external_id: Any
    members: set[UserId] = field(default_factory=set)

    def request(self) -> ScimGroupRequest:
        """The name and the external id as they are now. Raises InvalidValue."""
        return checked(ScimGroupRequest, {"displayName": self.display_name, "externalId": self.external_id})

    def change(self, op: str, path: Path, value: Any) -> None:
        """Make one change. Raises InvalidPath, InvalidValue and NoSuchUser."""
        if path.schema not in (None, GROUP_SCHEMA.lower()):
            raise InvalidPath
        if path.name == "members" and path.part in (None, "value"):
            self._change_members(op, path, value)
        elif path.name == "displayname" and path.part is None and path.where is None:
            self.display_name = None if op == "remove" else value
        elif path.name == "externalid" and path.part is None and path.where is None:
            self.external_id = None if op == "remove" else value
        else:
            raise InvalidPath

    def _change_members(self, op: str, path: Path, value: Any) -> None:
        if path.where is not None:
            if op != "remove" or path.where.part != "value":
                raise InvalidPath
            self.members -= _ids([path.where.value], ignore_unknown=True)
        elif op == "remove":
            self.members -= set(self.members) if value is None else _ids(_values_of(value), ignore_unknown=True)
        elif op == "add":
            self.members |= _ids(_values_of(value))
        else:
            self.members = _ids(_values_of(value))


async def _record(
    session: ControlSession,
    origin: Origin,
    action: str,
    row: ScimGroupRow,
    *,
    before: audit.State | None = None,
    after: audit.State | None = None,
) -> None:
    # One row for a group, also where the roles of thousands change by it.
    await audit.record(session, row.tenant_id, origin, f"scim_groups.{action}", row.id, before=before, after=after)


def _recorded(row: ScimGroupRow, added: Collection[UserId] = (), removed: Collection[UserId] = ()) -> dict[str, object]:
    state: dict[str, object] = {"display_name": row.display_name, "external_id": row.external_id, "role": row.role}
    for name, users in (("members_added", added), ("members_removed", removed)):
        if users:
            state[name] = [show(USER, user) for user in sorted(users)]
    return state


def check_mappable(known: RoleSet, roles: Collection[str]) -> None:
    """Raise ValidationFailed for a role that does not exist, or that manages owners."""
    for role in roles:
        if role not in known:
            raise ValidationFailed.at("/role", "unknown_role", "There is no role of this name.")
        if OWNERS_MANAGE in known.permissions_of((role,)):
            # Owners are named by owners: an admin of the directory must not become one (docs/decisions/0036).
            raise ValidationFailed.at("/role", "not_mappable", "A role that manages owners is given to persons only.")


def _values_of(value: Any) -> list[Any]:
    """The ids in the value of an operation: of one member or of several. Raises InvalidValue."""
    listed = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(each, dict) for each in listed):
        raise InvalidValue
    return [_value_of(each) for each in listed]


def _value_of(member: Mapping[str, Any]) -> Any:
    return next((value for name, value in member.items() if name.lower() == "value"), None)


def _ids(values: Collection[Any], *, ignore_unknown: bool = False) -> set[UserId]:
    """Raises NoSuchUser for what is no id of a user."""
    found = [read(USER, value) if isinstance(value, str) else None for value in values]
    if None in found and not ignore_unknown:
        raise NoSuchUser
    return {UserId(each) for each in found if each is not None}
