"""Accepting invitations, and renewing their links: what the invited person does."""

from dataclasses import dataclass
from datetime import UTC, datetime

from tenants.api_keys import repository as api_keys
from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.sessions import ControlSession, Database
from tenants.directory import repository as directory
from tenants.directory.errors import TenantSuspended
from tenants.directory.models import Tenant
from tenants.identifiers import ApiKeyId, TenantId, UserId
from tenants.invitations import repository
from tenants.invitations.errors import AlreadyMember, InvitationVoid, PasswordRequired, RoleDeleted
from tenants.invitations.models import Invitation
from tenants.invitations.schemas import InvitationAccepted
from tenants.invitations.service import Invitations, audited
from tenants.links.errors import LinkInvalid
from tenants.links.repository import Link
from tenants.links.service import LinkPurpose, Links
from tenants.members import repository as member_rows
from tenants.members.service import Members
from tenants.principal import Actor, ActorKind, TenantStatus
from tenants.roles.errors import ExceedsOwn
from tenants.roles.grants import Grantor, check_assignment
from tenants.roles.role_set import RoleSet
from tenants.roles.service import Roles
from tenants.users.models import User
from tenants.users.service import Users

_SEND = "invitations:create"
_STAFF = frozenset({ActorKind.OPERATOR, ActorKind.CLI, ActorKind.SYSTEM})  # may grant anything


_LANE = "invitation"  # of the hashing threads: acceptances and sign-ins wait in turns


@dataclass(frozen=True, slots=True)
class _Person:
    """What a new person has sent."""

    name: str
    password_hash: str | None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Opens its own transactions: none is held while a password is hashed.

    The link proves the address and nothing else, so it opens no session: the person signs in as usual, with the
    second factor or the provider that the account and the tenant require (docs/decisions/0032).
    """

    database: Database
    invitations: Invitations
    links: Links
    roles: Roles
    users: Users
    members: Members

    async def accept(self, token: str, name: str, password: str | None, *, origin: Origin) -> InvitationAccepted:
        """Make the invited person a member. A new one gets an account with this password; others keep theirs.

        Membership, account and end of the invitation are one transaction. Raises LinkInvalid, TenantSuspended,
        InvitationVoid, RoleDeleted, AlreadyMember, PasswordRequired, ValidationFailed for a bad password, and what
        ``CheckSeats`` raises; in all these cases the link can still be used.
        """
        async with self.database.control() as session:
            link = await self.links.check(session, LinkPurpose.INVITATION, token)
            needs_password = await self.users.needs_password(session, link.email)
        password_hash = None
        if needs_password:
            if password is None:
                raise PasswordRequired
            password_hash = await self.users.hash_password(password, link.email, source=origin.source, lane=_LANE)
        async with self.database.control() as session:
            return await self._accepted(session, token, _tenant_of(link), _Person(name, password_hash), origin)

    async def renew(self, token: str, *, origin: Origin) -> None:
        """Exchange a link, also one that has expired, for a new one that is sent to the same address.

        Does nothing for a link that cannot be exchanged: the caller learns nothing about invitations.
        """
        try:
            async with self.database.control() as session:
                await self._renewed(session, token, origin)
        except (LinkInvalid, InvitationVoid, RoleDeleted):
            return

    async def _accepted(
        self, session: ControlSession, token: str, tenant_id: TenantId, person: _Person, origin: Origin
    ) -> InvitationAccepted:
        known = await self.roles.serialised(session, tenant_id)
        link = await self.links.take(session, LinkPurpose.INVITATION, token)
        invitation = await self._pending(session, tenant_id, link)
        tenant = await self._active(session, tenant_id)
        await self._check_still_granted(session, known, invitation)
        user, password_set = await self._account(session, link.email, person)
        if await member_rows.find(session, tenant_id, user.id) is not None:
            raise AlreadyMember
        before, origin = audited(invitation), origin.by(Actor(ActorKind.USER, user.id))
        invitation.accepted_at, invitation.accepted_by = datetime.now(UTC), user.id
        await self.members.join(session, tenant_id, user.id, [invitation.role], origin=origin)
        await audit.record(
            session,
            tenant_id,
            origin,
            "invitations.accepted",
            invitation.id,
            before=before,
            after=audited(invitation),
        )
        return InvitationAccepted.of(tenant, invitation, password_set=password_set)

    async def _renewed(self, session: ControlSession, token: str, origin: Origin) -> None:
        purpose = LinkPurpose.INVITATION
        link = await self.links.check(session, purpose, token, even_expired=True)
        known = await self.roles.serialised(session, _tenant_of(link))
        invitation = await self._pending(session, _tenant_of(link), link)
        await self._check_still_granted(session, known, invitation)
        if await self.invitations.may_send(session, invitation):
            await self.links.take(session, purpose, token, even_expired=True)
            before = audited(invitation)
            await self.invitations.send(session, invitation)
            await audit.record(
                session,
                invitation.tenant_id,
                origin,
                "invitations.renewed",
                invitation.id,
                before=before,
                after=audited(invitation),
            )

    async def _pending(self, session: ControlSession, tenant: TenantId, link: Link) -> Invitation:
        invitation = await repository.find_pending(session, tenant, link.email)
        if invitation is None:
            raise LinkInvalid
        return invitation

    async def _active(self, session: ControlSession, tenant_id: TenantId) -> Tenant:
        tenant = await directory.find(session, tenant_id)
        if tenant is None:
            raise LinkInvalid
        if tenant.status == TenantStatus.SUSPENDED:
            raise TenantSuspended
        return tenant

    async def _account(self, session: ControlSession, email: str, person: _Person) -> tuple[User, bool]:
        """The account of the address, which the link has proven, and whether its password was set.

        Raises LinkInvalid for a disabled person.
        """
        user = await self.users.ensure(session, email, person.name)
        if user.disabled_at is not None:
            raise LinkInvalid
        if user.password_hash is not None:
            return user, False
        if person.password_hash is None:  # the account was deleted meanwhile
            raise PasswordRequired
        await self.users.set_password(session, user.id, person.password_hash)
        return user, True

    async def _check_still_granted(self, session: ControlSession, known: RoleSet, invitation: Invitation) -> None:
        """Nobody grants what they lack when the grant takes effect (AZ5). Raises RoleDeleted and InvitationVoid."""
        if invitation.role not in known:
            raise RoleDeleted
        inviter = invitation.inviter
        if inviter.kind in _STAFF:
            return
        grantor = await self._grantor(session, known, invitation.tenant_id, inviter)
        if grantor is None or _SEND not in grantor.permissions:
            raise InvitationVoid
        try:
            check_assignment(grantor, known, (), (invitation.role,))
        except ExceedsOwn as error:
            raise InvitationVoid from error

    async def _grantor(
        self, session: ControlSession, known: RoleSet, tenant: TenantId, inviter: Actor
    ) -> Grantor | None:
        """The inviter as it is now; None when it is gone, disabled or ended."""
        if inviter.id is None or inviter.kind not in {ActorKind.USER, ActorKind.API_KEY}:
            return None
        if inviter.kind is ActorKind.USER:
            member = await member_rows.find(session, tenant, UserId(inviter.id))
            if member is None or member.is_disabled:
                return None
            return Grantor(member.roles, known.permissions_of(member.roles))
        key = await api_keys.find(session, tenant, ApiKeyId(inviter.id))
        if key is None or key.revoked_at or (key.expires_at and key.expires_at <= datetime.now(UTC)):
            return None
        held = known.permissions_of((key.role,))
        return Grantor((key.role,), held if key.scopes is None else held.intersection(key.scopes))


def _tenant_of(link: Link) -> TenantId:
    if link.tenant_id is None:
        raise LinkInvalid
    return link.tenant_id
