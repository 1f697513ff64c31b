"""Sign-up in two steps: a request that is kept for an hour, and its confirmation by a link and the password (ID10).

The address is looked up by the job alone, so that request and answer are the same whether it has an account or not.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from tenants.audit import service as audit
from tenants.database.sessions import ControlSession, Database
from tenants.directory import repository as directory
from tenants.directory.errors import SlugTaken, UnknownPlan
from tenants.directory.service import audited
from tenants.errors import Unavailable
from tenants.identifiers import TenantId, new_id
from tenants.links.errors import LinkInvalid
from tenants.links.service import LONGEST_LIFE, LinkPurpose, Links
from tenants.mail.port import Content
from tenants.mail.templates import AlreadyRegistered, ConfirmSignUp, render
from tenants.members.service import Members
from tenants.password_changes.service import AccountMail
from tenants.principal import Actor, ActorKind
from tenants.roles.builtin import BuiltInRole
from tenants.sign_in.client import ClientInfo
from tenants.sign_in.schemas import Grant
from tenants.sign_in.service import PASSWORD, SignIn
from tenants.sign_in_limits.limits import Source
from tenants.sign_up import repository
from tenants.sign_up.errors import AddressInUse, NotThePassword, SlugInUse, SlugLost
from tenants.sign_up.models import PendingSignUp
from tenants.sign_up.schemas import SignUpRequest
from tenants.users import repository as users_repository
from tenants.users.passwords import PasswordHasher, checked_password
from tenants.users.service import Users

SEND_TASK = "sign_up.send"
LIFE = timedelta(hours=1)
_LANE = "sign-up"  # of the hashing threads: sign-ups and sign-ins wait in turns
_PACE = "sign-up"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SignUp:
    """Opens its own transactions: none is held while a password is hashed."""

    database: Database
    users: Users
    passwords: PasswordHasher
    members: Members
    sign_in: SignIn
    links: Links
    outgoing: AccountMail
    plan: str  # of new tenants

    async def request(self, requested: SignUpRequest, source: Source) -> None:
        """Keep a sign-up, which holds its slug for an hour, and have a message sent to its address.

        Sent again with the same password, it sends another message. Raises SlugInUse, ValidationFailed for a bad
        password, RateLimited and Unavailable in a flood; none of them depends on whether the address has an account.
        """
        checked_password(requested.password, requested.email)
        async with self.database.control() as session:
            use = await repository.use_of(session, requested.tenant.slug)
        if use.has_tenant:
            raise SlugInUse
        if use.holder is not None:
            await self._again(use.holder, requested, source)
            return
        password_hash = await self.users.hash_password(
            requested.password, requested.email, source=source.address, lane=_LANE
        )
        async with self.database.control() as session:
            sign_up = await repository.add(session, _values(requested, password_hash), LIFE)
            if sign_up is None:
                raise SlugInUse
            await self._enqueue(session, sign_up)

    async def send(self, sign_up: UUID) -> None:
        """What the job does: queue the message that the address is to get."""
        async with self.database.control() as session:
            pending = await repository.find(session, sign_up)
            if pending is None:
                return
            if not await self.outgoing.pace.admits(session, _PACE, pending.email):
                _log.info("sign_up_not_sent", reason="too many to this address")
                return
            await self.outgoing.mail.enqueue(session, pending.email, await self._message(session, pending))

    async def verify(self, token: str, password: str, source: Source, client: ClientInfo) -> Grant:
        """Make the account, the tenant with its schema and role, and the owner, in one transaction; sign in.

        The password selects the sign-up: anyone else who signed up with this address does not know it, and the owner of
        the address does not confirm what a stranger has typed. Raises LinkInvalid; NotThePassword, SlugLost and
        AddressInUse, after which the link can still be used.
        """
        purpose = LinkPurpose.EMAIL_VERIFICATION
        async with self.database.control() as session:
            link = await self.links.check(session, purpose, token)
            pending = await repository.latest_of(session, link.email)
        if not pending:
            raise LinkInvalid
        for each in pending:
            if await self.passwords.verify(password, each.password_hash, source=source.address, lane=_LANE):
                async with self.database.control() as session:
                    await self.links.take(session, purpose, token)
                    return await self._create(session, each, client)
        raise NotThePassword

    async def _again(self, holder: PendingSignUp, requested: SignUpRequest, source: Source) -> None:
        # The same work for every address, and the same error: a stranger learns nothing about who holds the slug.
        is_same = holder.email.lower() == requested.email.lower()
        stored = holder.password_hash if is_same else None
        if not await self.passwords.verify(requested.password, stored, source=source.address, lane=_LANE):
            raise SlugInUse
        async with self.database.control() as session:
            await self._enqueue(session, holder.id)

    async def _enqueue(self, session: ControlSession, sign_up: UUID) -> None:
        await self.outgoing.queue.enqueue(session, SEND_TASK, sign_up_id=str(sign_up))

    async def _message(self, session: ControlSession, pending: PendingSignUp) -> Content:
        if await users_repository.find_by_email(session, pending.email) is not None:
            return render(AlreadyRegistered(self.outgoing.product))
        purpose = LinkPurpose.EMAIL_VERIFICATION
        secret = await self.links.issue(session, purpose, email=pending.email)
        minutes = int(LONGEST_LIFE.total_seconds() // 60)
        return render(ConfirmSignUp(self.outgoing.product, pending.slug, self.links.url(purpose, secret), minutes))

    async def _create(self, session: ControlSession, pending: PendingSignUp, client: ClientInfo) -> Grant:
        if not await repository.take(session, pending):
            raise LinkInvalid
        user = await self.users.add(session, pending.email, pending.name, pending.password_hash)
        if user is None:
            raise AddressInUse
        try:
            tenant = await directory.add(session, TenantId(new_id()), pending.slug, pending.tenant_name, self.plan)
        except SlugTaken as error:
            raise SlugLost from error
        except UnknownPlan as error:
            raise Unavailable(detail="TENANTRY_SIGN_UP_PLAN is the code of no plan") from error
        origin = client.origin.by(Actor(ActorKind.USER, user))
        await audit.record(session, tenant.id, origin, "tenant.created", tenant.id, after=audited(tenant))
        await self.members.put(session, tenant.id, user, [BuiltInRole.OWNER], origin=origin)
        return await self.sign_in.open_session(session, user, tenant.id, methods=[PASSWORD], client=client)


def _values(requested: SignUpRequest, password_hash: str) -> dict[str, str]:
    return {
        "email": requested.email,
        "name": requested.name,
        "password_hash": password_hash,
        "slug": requested.tenant.slug,
        "tenant_name": requested.tenant.name,
    }


async def forget_expired(database: Database) -> None:
    """Delete sign-ups that nobody has confirmed in time."""
    async with database.control() as session:
        await repository.delete_expired(session)
