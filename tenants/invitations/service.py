"""Invitations: create, list, read, send again, revoke. Accepting them is in ``acceptance.py``."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession, Database
from tenants.directory import repository as directory
from tenants.errors import NotFound, ValidationFailed, check_version
from tenants.identifiers import InvitationId, TenantId, new_id
from tenants.invitations import repository
from tenants.invitations.errors import AlreadyInvited, AlreadyMember, InvitationEnded, InvitedTooOften
from tenants.invitations.models import Invitation, InvitationStatus
from tenants.invitations.schemas import CreateInvitation, InvitationResponse
from tenants.links.service import LONGEST_LIFE, LinkPurpose, Links
from tenants.mail.service import Mail
from tenants.mail.templates import Invited, render
from tenants.members import repository as member_rows
from tenants.members.service import Members
from tenants.roles.grants import Grantor, check_assignment
from tenants.roles.role_set import RoleSet
from tenants.roles.service import Roles

LIFE = timedelta(days=7)
_KEPT = timedelta(days=90)  # after it ended
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
MOST_AN_HOUR = 200  # invitations that a tenant creates
MOST_TO_ADDRESS = 10  # messages of a tenant to one address in a day


class Invitations:
    """Every call runs in the caller's transaction. Changes of one tenant's invitations and members are serialised.

    Nothing that is done for an invitation depends on whether its address has an account (ID10).
    """

    def __init__(self, roles: Roles, links: Links, members: Members, mail: Mail | None, product: str = "") -> None:
        """``mail`` is None when mail is off: invitations are then created, and can be sent later."""
        self._roles = roles
        self._links = links
        self._members = members
        self._mail = mail
        self._product = product

    async def page(self, session: ControlSession, tenant: TenantId, keyset: Keyset) -> Sequence[Invitation]:
        """A page of the tenant's invitations, ended ones included."""
        return await repository.page(session, tenant, keyset)

    async def read(self, session: ControlSession, tenant: TenantId, invitation: InvitationId) -> Invitation:
        """One invitation. Raises NotFound."""
        found = await repository.find(session, tenant, invitation)
        if found is None:
            raise NotFound
        return found

    async def find_pending(self, session: ControlSession, tenant: TenantId, email: str) -> Invitation | None:
        """The invitation of this address that can be accepted."""
        return await repository.find_pending(session, tenant, email)

    async def invite(
        self,
        session: ControlSession,
        tenant: TenantId,
        grantor: Grantor | None,
        requested: CreateInvitation,
        *,
        origin: Origin,
    ) -> Invitation:
        """Invite an address, and queue the message. The origin's actor is the inviter.

        Raises ExceedsOwn, ValidationFailed, AlreadyMember, AlreadyInvited, InvitedTooOften, and what ``CheckSeats``
        raises.
        """
        known = await self._roles.serialised(session, tenant)
        _check_exists(known, requested.role)
        check_assignment(grantor, known, (), (requested.role,))
        await self._check_address(session, tenant, requested.email)
        await self._check_pace(session, tenant, requested.email)
        await self._members.check_seats(session, tenant, await repository.count_pending(session, tenant) + 1)
        invitation = Invitation(
            id=InvitationId(new_id()),
            tenant_id=tenant,
            email=requested.email,
            role=requested.role,
            expires_at=datetime.now(UTC) + LIFE,
        )
        invitation.inviter = origin.actor
        session.add(invitation)
        await self.send(session, invitation)
        await audit.record(session, tenant, origin, "invitations.created", invitation.id, after=audited(invitation))
        return invitation

    async def resend(
        self,
        session: ControlSession,
        tenant: TenantId,
        grantor: Grantor | None,
        invitation: InvitationId,
        *,
        origin: Origin,
    ) -> Invitation:
        """Send a new link, which ends the one before. The caller becomes the inviter, and the week begins again.

        Raises NotFound, InvitationEnded, ExceedsOwn, ValidationFailed for a role that is gone, and InvitedTooOften.
        """
        known = await self._roles.serialised(session, tenant)
        found = await self.read(session, tenant, invitation)
        if found.status is not InvitationStatus.PENDING:
            raise InvitationEnded
        _check_exists(known, found.role)
        check_assignment(grantor, known, (), (found.role,))
        await self._check_pace(session, tenant, found.email)
        before = audited(found)
        found.inviter, found.expires_at = origin.actor, datetime.now(UTC) + LIFE
        await self.send(session, found)
        await audit.record(session, tenant, origin, "invitations.resent", found.id, before=before, after=audited(found))
        return found

    async def revoke(
        self,
        session: ControlSession,
        tenant: TenantId,
        grantor: Grantor | None,
        invitation: InvitationId,
        *,
        origin: Origin,
        versions: tuple[int, ...] | None = None,
    ) -> None:
        """End an invitation and its link; idempotent.

        Raises NotFound, PreconditionFailed, ExceedsOwn, and InvitationEnded when it was accepted.
        """
        known = await self._roles.serialised(session, tenant)
        found = await self.read(session, tenant, invitation)
        check_version(found.shown_version, versions)
        check_assignment(grantor, known, (found.role,), ())
        if found.accepted_at is not None:
            raise InvitationEnded
        if found.revoked_at is not None:
            return
        before, found.revoked_at = audited(found), datetime.now(UTC)
        await session.flush()
        await self._links.end(session, LinkPurpose.INVITATION, email=found.email, tenant_id=tenant)
        await audit.record(
            session, tenant, origin, "invitations.revoked", found.id, before=before, after=audited(found)
        )

    async def may_send(self, session: ControlSession, invitation: Invitation) -> bool:
        """Whether another message may go to the invited address today, and mail is on."""
        sent = await repository.messages_to(session, invitation.tenant_id, invitation.email, _DAY)
        return self._mail is not None and sent < MOST_TO_ADDRESS

    async def send(self, session: ControlSession, invitation: Invitation) -> None:
        """Issue a link and queue the message with it; without mail, nothing. Raises ValidationFailed."""
        if self._mail is not None:
            tenant = await directory.find(session, invitation.tenant_id)
            if tenant is None:
                raise NotFound(detail="the tenant was deleted concurrently")
            purpose, minutes = LinkPurpose.INVITATION, int(LONGEST_LIFE.total_seconds() // 60)
            secret = await self._links.issue(session, purpose, email=invitation.email, tenant_id=tenant.id)
            content = Invited(self._product, tenant.name, self._links.url(purpose, secret), minutes)
            await self._mail.enqueue(session, invitation.email, render(content))
            invitation.sent_at, invitation.sends = datetime.now(UTC), (invitation.sends or 0) + 1
        await session.flush()

    async def _check_address(self, session: ControlSession, tenant: TenantId, email: str) -> None:
        if await member_rows.find_by_email(session, tenant, email) is not None:
            raise AlreadyMember
        if await repository.find_pending(session, tenant, email) is not None:
            raise AlreadyInvited

    async def _check_pace(self, session: ControlSession, tenant: TenantId, email: str) -> None:
        if await repository.count_created(session, tenant, _HOUR) >= MOST_AN_HOUR:
            raise InvitedTooOften(retry_after=int(_HOUR.total_seconds()))
        if await repository.messages_to(session, tenant, email, _DAY) >= MOST_TO_ADDRESS:
            raise InvitedTooOften(retry_after=int(_DAY.total_seconds()))


def audited(invitation: Invitation) -> audit.State:
    """The invitation as the audit log of its tenant shows it."""
    return InvitationResponse.of(invitation).model_dump(mode="json")


async def forget_old_invitations(database: Database) -> None:
    """Delete invitations that ended long ago."""
    async with database.control() as session:
        await repository.delete_ended(session, _KEPT)


def _check_exists(known: RoleSet, role: str) -> None:
    if role not in known:
        raise ValidationFailed.at("/role", "unknown_role", "There is no role of this name.")
