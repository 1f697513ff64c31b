"""The keys of people, when their owner loses rights or leaves (ID16).

What a key holds follows what its owner holds when the key is loaded, so a demotion needs no work here, and a person who
is disabled has no key that works. A tenant can choose that keys are handed over to another member first. Leaving ends
keys for good: they do not come back with the person (ID15).

However many keys there are, leaving is one short transaction. A key is of the membership in which it became its owner's
(``lineage.py``), so all keys end with the membership's row. As many as one transaction should change are revoked in it,
and the job of ``jobs.py`` revokes the rest, which are refused meanwhile.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from tenants.api_keys.descendants.service import Descendants
from tenants.api_keys.descendants.steps import Transactions, in_steps
from tenants.api_keys.lineage import Owner, OwnerKind
from tenants.api_keys.models import ApiKey
from tenants.audit.origin import SYSTEM, Origin
from tenants.database.sessions import ControlSession
from tenants.directory.models import MemberKeysChoice, Tenant
from tenants.directory.schemas import ChangeOwnTenant
from tenants.errors import Conflict, NotFound, ValidationFailed
from tenants.identifiers import USER, ApiKeyId, TenantId, UserId, read
from tenants.jobs.repository import defer
from tenants.members import repository
from tenants.members.repository import Member
from tenants.roles.errors import ExceedsOwn
from tenants.roles.grants import Grantor
from tenants.roles.role_set import RoleSet
from tenants.roles.service import Roles

END_TASK = "members.end_keys"


class HoldsLess(Conflict):
    message = "The member whom the keys are handed over to holds less than one of the keys does."


class MemberKeys:
    """Every call runs in the caller's transaction."""

    def __init__(self, roles: Roles, descendants: Descendants) -> None:
        self._roles = roles
        self._descendants = descendants

    async def revoke(self, transactions: Transactions, tenant: TenantId, user: UserId, *, origin: Origin) -> int:
        """Revoke all keys of a member, and what these own, in as many transactions as needed; how many there were.

        Up to ``MOST_AT_ONCE`` keys are one transaction. Raises NotFound.
        """
        count, walk = 0, self._descendants.owned_by(tenant, user)

        async def step(session: ControlSession) -> bool:
            nonlocal count
            if await repository.find(session, tenant, user) is None:
                raise NotFound
            ended = await self._descendants.end(session, tenant, walk, origin=origin)
            count += len(ended.keys)
            return ended.is_left

        await in_steps(transactions, tenant, step)
        return count

    async def end(self, session: ControlSession, tenant: TenantId, user: UserId, *, origin: Origin) -> None:
        """End all that a person owns of memberships before the next one. The caller serialises, and ends this one."""
        walk = self._descendants.owned_by(tenant, user)
        if (await self._descendants.end(session, tenant, walk, origin=origin)).is_left:
            await defer(session, END_TASK, tenant)

    async def end_of_former_members(self, transactions: Transactions, tenant: TenantId) -> None:
        """Revoke the remaining keys whose owner's membership has ended, and what these own."""
        walk = self._descendants.owned(tenant, repository.of_former_members(tenant))

        async def step(session: ControlSession) -> bool:
            return (await self._descendants.end(session, tenant, walk, origin=SYSTEM)).is_left

        await in_steps(transactions, tenant, step)

    async def hand_over(
        self,
        session: ControlSession,
        tenant: TenantId,
        grantor: Grantor | None,
        user: UserId,
        to: str,
        *,
        origin: Origin,
    ) -> Sequence[ApiKeyId]:
        """Give all keys of a member to the member with the id ``to``, with what these keys own.

        Raises NotFound; ValidationFailed for a recipient who is no member, disabled, or the same; HoldsLess when they
        do not hold what each key holds, ExceedsOwn when the grantor does not; TooManyKeys.
        """
        known = await self._roles.serialised(session, tenant)
        member = await repository.find(session, tenant, user)
        if member is None:
            raise NotFound
        recipient = await self._recipient(session, tenant, to, "/to")
        if recipient.id == user:
            raise ValidationFailed.at("/to", "unknown_member", "Must be another member.")
        since = member.membership.created_at
        keys = await self._descendants.directly_owned_by(session, tenant, user, since)
        for key in await self._descendants.rows(session, tenant, keys):
            _check(key, known, recipient, grantor)
        await self._descendants.give(session, tenant, keys, Owner(OwnerKind.USER, user=recipient.id), origin=origin)
        return keys

    async def check_choice(self, session: ControlSession, tenant: TenantId, requested: ChangeOwnTenant) -> None:
        """Return when the keys of members can be handed over as the tenant chooses. Raises ValidationFailed."""
        if "member_keys_to" in requested.model_fields_set and requested.member_keys_to is not None:
            await self._recipient(session, tenant, requested.member_keys_to, "/member_keys_to")

    async def before_loss(
        self,
        session: ControlSession,
        tenant: Tenant,
        known: RoleSet,
        losses: Mapping[UserId, Sequence[str]],
        *,
        origin: Origin,
    ) -> None:
        """Hand over the keys of people who are about to lose rights, if the tenant chose that. The caller serialises.

        ``losses`` has the roles that each still holds. A key keeps at most what these allow: it is not wider for its
        new owner than it was before. Without a member to take them, the keys stay, and so do those of a
        person who has more than one transaction changes: what takes rights away must not fail for their number.
        """
        to = tenant.member_keys_to
        if tenant.member_keys != MemberKeysChoice.HAND_OVER or to is None or to in losses:
            return
        recipient = await repository.find(session, tenant.id, to)
        if recipient is None or recipient.is_disabled:
            return
        owner = Owner(OwnerKind.USER, user=to)
        for user, roles in losses.items():
            keys = await self._kept(session, tenant.id, user)
            narrow = partial(_narrow, known, known.permissions_of(roles))
            await self._descendants.give(session, tenant.id, keys, owner, origin=origin, narrow=narrow)

    async def _kept(self, session: ControlSession, tenant: TenantId, user: UserId) -> Sequence[ApiKeyId]:
        """The keys that a person would leave to another; none when they are too many, with what they own."""
        member = await repository.find(session, tenant, user)
        if member is None or not await self._descendants.are_few(session, self._descendants.owned_by(tenant, user)):
            return ()
        return await self._descendants.directly_owned_by(session, tenant, user, member.membership.created_at)

    async def _recipient(self, session: ControlSession, tenant: TenantId, named: str, pointer: str) -> Member:
        user = read(USER, named)
        found = None if user is None else await repository.find(session, tenant, UserId(user))
        if found is None or found.is_disabled:
            raise ValidationFailed.at(pointer, "unknown_member", "Must be a member who is not disabled.")
        return found


def _check(key: ApiKey, known: RoleSet, recipient: Member, grantor: Grantor | None) -> None:
    granted = _granted(key, known)
    if grantor is not None and not granted <= grantor.permissions & known.permissions_of(grantor.roles):
        raise ExceedsOwn
    if not granted <= known.permissions_of(recipient.roles):
        raise HoldsLess


def _narrow(known: RoleSet, held: frozenset[str], key: ApiKey) -> None:
    granted = _granted(key, known)
    if not granted <= held:
        key.scopes = sorted(granted & held)


def _granted(key: ApiKey, known: RoleSet) -> frozenset[str]:
    """What the key's own row allows."""
    held = known.permissions_of((key.role,))
    return held if key.scopes is None else held.intersection(key.scopes)
