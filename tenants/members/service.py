"""Members of a tenant: list, read, give roles, disable, enable, remove."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime

from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.directory import repository as directory
from tenants.directory.models import MemberKeysChoice
from tenants.errors import FieldError, NotFound, ValidationFailed, check_version
from tenants.identifiers import USER, TenantId, UserId, read
from tenants.members import repository
from tenants.members.errors import LastOwner, NoSuchMember, NoSuchPerson, PersonDisabled
from tenants.members.keys import MemberKeys
from tenants.members.repository import Member
from tenants.members.schemas import MemberResponse
from tenants.roles.builtin import BuiltInRole
from tenants.roles.grants import Grantor, check_assignment
from tenants.roles.role_set import RoleSet
from tenants.roles.service import Roles
from tenants.users import repository as users

# Ends every sign-in of these people in a tenant, in the caller's transaction.
EndSignIns = Callable[[ControlSession, TenantId, Collection[UserId], datetime], Awaitable[None]]

# Returns when the tenant's plan includes so many members; raises an error of billing otherwise.
CheckSeats = Callable[[ControlSession, TenantId, int], Awaitable[None]]


class Members:
    """Every call runs in the caller's transaction. Changes of one tenant's roles and members are serialised.

    A person whose roles change, or who is disabled or removed, has to sign in again (ID11, ID15).
    """

    def __init__(self, roles: Roles, keys: MemberKeys, end_sign_ins: EndSignIns, check_seats: CheckSeats) -> None:
        self.keys = keys
        self._roles = roles
        self._end_sign_ins = end_sign_ins
        self._check_seats = check_seats

    async def put(
        self,
        session: ControlSession,
        tenant: TenantId,
        user: UserId,
        roles: Sequence[str],
        *,
        origin: Origin,
    ) -> None:
        """Make the person a member of the tenant with exactly these roles, whatever the plan includes."""
        await repository.put(session, tenant, user, [str(role) for role in roles])
        member = _found(await repository.find(session, tenant, user))
        await audit.record(session, tenant, origin, "members.added", user, after=_shown(member))

    async def join(
        self, session: ControlSession, tenant: TenantId, user: UserId, roles: Sequence[str], *, origin: Origin
    ) -> None:
        """Make the person a member with these roles, unless they are one already. The caller serialises.

        Raises what ``CheckSeats`` raises.
        """
        if await repository.insert_unless_member(session, tenant, user, roles):
            await self.keys.end(session, tenant, user, origin=origin)  # what no earlier end has revoked
            await self.check_seats(session, tenant)
            member = _found(await repository.find(session, tenant, user))
            await audit.record(session, tenant, origin, "members.added", user, after=_shown(member))

    async def check_seats(self, session: ControlSession, tenant: TenantId, pending: int = 0) -> None:
        """Return when the plan includes the members that the tenant has by now, and ``pending`` more.

        Exact while the caller serialises. Raises what ``CheckSeats`` raises.
        """
        await self._check_seats(session, tenant, await repository.count(session, tenant) + pending)

    async def page(self, session: ControlSession, tenant: TenantId, keyset: Keyset) -> Sequence[Member]:
        """A page of the tenant's members, disabled ones included."""
        return await repository.page(session, tenant, keyset)

    async def read(self, session: ControlSession, tenant: TenantId, user: UserId) -> Member:
        """One member. Raises NotFound."""
        return _found(await repository.find(session, tenant, user))

    async def read_named(self, session: ControlSession, tenant: TenantId, named: str) -> Member:
        """One member, by id (usr_…) or e-mail address. Raises NoSuchMember."""
        user = read(USER, named)
        if user is None:
            found = await repository.find_by_email(session, tenant, named)
        else:
            found = await repository.find(session, tenant, UserId(user))
        if found is None:
            raise NoSuchMember
        return found

    async def set_roles(
        self,
        session: ControlSession,
        tenant: TenantId,
        grantor: Grantor | None,
        user: UserId,
        roles: Sequence[str],
        *,
        origin: Origin,
        versions: tuple[int, ...] | None = None,
    ) -> Member:
        """Replace a member's roles; the same ones change nothing.

        Raises NotFound, PreconditionFailed, ValidationFailed, ExceedsOwn and LastOwner.
        """
        return await self.change(session, tenant, grantor, user, roles=roles, origin=origin, versions=versions)

    async def change(
        self,
        session: ControlSession,
        tenant: TenantId,
        grantor: Grantor | None,
        user: UserId,
        *,
        origin: Origin,
        roles: Sequence[str] | None = None,
        disabled: bool | None = None,
        versions: tuple[int, ...] | None = None,
    ) -> Member:
        """Replace a member's roles, and disable or enable the member in this tenant; None leaves either as it is.

        Enabling revives no session. Raises as ``set_roles`` does.
        """
        known = await self._roles.serialised(session, tenant)
        member = _found(await repository.find(session, tenant, user))
        check_version(member.version, versions)
        by_hand = member.membership.roles
        after = by_hand if roles is None else sorted(set(roles))
        _check_exist(known, roles or ())
        check_assignment(grantor, known, member.roles, after)
        was_disabled = member.membership.disabled_at is not None
        disables, has_new_roles = bool(disabled) and not was_disabled, set(after) != set(by_hand)
        if disables or has_new_roles:
            await self._keep_an_owner(session, member, () if disables else after)
        shown = _shown(member)
        left = known.permissions_of((*after, *member.membership.group_roles))
        if disables or not known.permissions_of(member.roles) <= left:
            await self.keys.before_loss(session, member.tenant, known, {user: member.roles}, origin=origin)
        if has_new_roles:
            await repository.set_roles(session, member, after)
        if disabled is not None and disabled is not was_disabled:
            await repository.set_disabled(session, member, datetime.now(UTC) if disabled else None)
        if disables or has_new_roles:
            # The membership first: a sign-in that holds it is complete by then, and its session ends with the others.
            await self._end_sign_ins(session, tenant, [user], datetime.now(UTC))
        if _shown(member) != shown:
            await audit.record(session, tenant, origin, "members.updated", user, before=shown, after=_shown(member))
        return member

    async def make_owner(self, session: ControlSession, tenant: TenantId, email: str, *, origin: Origin) -> Member:
        """Make a person with an account an owner, beside their other roles; for the SaaS's own staff.

        Raises NoSuchPerson and PersonDisabled.
        """
        await self._roles.serialised(session, tenant)
        person = await users.find_by_email(session, email)
        if person is None:
            raise NoSuchPerson
        member = await repository.find(session, tenant, person.id)
        if person.disabled_at is not None or (member is not None and member.membership.disabled_at is not None):
            raise PersonDisabled
        if member is None:
            await self.put(session, tenant, person.id, [BuiltInRole.OWNER], origin=origin)
            return await self.read(session, tenant, person.id)
        roles = (*member.roles, BuiltInRole.OWNER.value)
        return await self.set_roles(session, tenant, None, person.id, roles, origin=origin)

    async def remove(
        self,
        session: ControlSession,
        tenant: TenantId,
        grantor: Grantor | None,
        user: UserId,
        *,
        origin: Origin,
        versions: tuple[int, ...] | None = None,
    ) -> None:
        """Remove a person from the tenant. Raises NotFound, PreconditionFailed, ExceedsOwn and LastOwner."""
        known = await self._roles.serialised(session, tenant)
        member = _found(await repository.find(session, tenant, user))
        check_version(member.version, versions)
        check_assignment(grantor, known, member.roles, ())
        await self._keep_an_owner(session, member, ())
        await self.keys.before_loss(session, member.tenant, known, {user: member.roles}, origin=origin)
        await self.keys.end(session, tenant, user, origin=origin)
        # The membership first: a sign-in that holds it is complete by then, and its session is ended with the others.
        await repository.remove(session, tenant, user)
        await self._end_sign_ins(session, tenant, [user], datetime.now(UTC))
        await audit.record(session, tenant, origin, "members.removed", user, before=_shown(member))

    async def set_group_roles(
        self, session: ControlSession, tenant: TenantId, roles: Mapping[UserId, Sequence[str]], *, origin: Origin
    ) -> None:
        """Replace the roles that members have from groups. The caller serialises.

        Those whose roles change as a whole have to sign in again.
        """
        before = await repository.memberships(session, tenant, roles)
        given: defaultdict[tuple[str, ...], list[UserId]] = defaultdict(list)
        for user, (_, group_roles) in before.items():
            if set(group_roles) != set(roles[user]):
                given[tuple(roles[user])].append(user)
        await self._hand_over_keys(session, tenant, before, roles, origin)
        for after, holders in given.items():
            await repository.set_group_roles(session, tenant, holders, after)
        affected = [
            user
            for user, (by_hand, group_roles) in before.items()
            if {*by_hand, *group_roles} != {*by_hand, *roles[user]}
        ]
        await self._end_sign_ins(session, tenant, affected, datetime.now(UTC))

    async def _hand_over_keys(
        self,
        session: ControlSession,
        tenant: TenantId,
        before: Mapping[UserId, tuple[Sequence[str], Sequence[str]]],
        roles: Mapping[UserId, Sequence[str]],
        origin: Origin,
    ) -> None:
        """Those of members who lose rights with these roles of groups."""
        row = await directory.find(session, tenant)
        if row is None or row.member_keys != MemberKeysChoice.HAND_OVER:
            return
        known = await self._roles.serialised(session, tenant)
        losses = {
            user: (*by_hand, *group_roles)
            for user, (by_hand, group_roles) in before.items()
            if not known.permissions_of((*by_hand, *group_roles)) <= known.permissions_of((*by_hand, *roles[user]))
        }
        await self.keys.before_loss(session, row, known, losses, origin=origin)

    async def _keep_an_owner(self, session: ControlSession, member: Member, roles: Sequence[str]) -> None:
        """Raise LastOwner if no owner would be left (AZ6)."""
        ends = BuiltInRole.OWNER in member.roles and BuiltInRole.OWNER not in roles
        if ends and not await repository.has_other_owner(session, member.tenant.id, member.id):
            raise LastOwner


def _shown(member: Member) -> audit.State:
    return MemberResponse.of(member).model_dump(mode="json")


def _found(member: Member | None) -> Member:
    if member is None:
        raise NotFound
    return member


def _check_exist(known: RoleSet, roles: Sequence[str]) -> None:
    unknown = [position for position, role in enumerate(roles) if role not in known]
    if unknown:
        message = "There is no role of this name."
        raise ValidationFailed(tuple(FieldError(f"/roles/{each}", "unknown_role", message) for each in unknown))
