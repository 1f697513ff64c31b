"""Changing and resetting a person's password. Either ends all their sessions (ID11)."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from tenants.audit.origin import Origin
from tenants.credentials import CredentialRevoked
from tenants.database.sessions import ControlSession, Database
from tenants.identifiers import UserId, new_id
from tenants.jobs.queue import JobQueue
from tenants.links.errors import LinkInvalid
from tenants.links.service import LONGEST_LIFE, LinkPurpose, Links
from tenants.mail.service import Mail
from tenants.mail.templates import PasswordChanged, PasswordReset, render
from tenants.password_changes.errors import MailOff, WrongPassword
from tenants.principal import Principal
from tenants.secrets.sealing import SealedRow, Sealer
from tenants.sign_in import repository as sign_ins
from tenants.sign_in import trail
from tenants.sign_in.client import ClientInfo
from tenants.sign_in.schemas import Grant
from tenants.sign_in.service import SignIn, SignInRefused
from tenants.sign_in_limits.limits import Lane, Source
from tenants.sign_in_limits.mail_pace import MailPace
from tenants.users import repository as users_repository
from tenants.users.passwords import LEAST_CHARACTERS, LEAST_WITH_FACTOR, checked_password, is_short, too_short
from tenants.users.service import Users

FORGOT_TASK = "password.forgot"
FORGOTTEN = "address of a forgotten password"  # purpose of the sealed address
_PACE = "password reset"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AccountMail:
    """What messages about accounts take; there is none while mail is off."""

    mail: Mail
    queue: JobQueue
    sealer: Sealer
    pace: MailPace
    product: str  # the SaaS as people know it


class PasswordChanges:
    """Opens its own transactions: none is held while a password is hashed."""

    def __init__(
        self, database: Database, users: Users, sign_in: SignIn, links: Links, mail: AccountMail | None
    ) -> None:
        self._database = database
        self._users = users
        self._sign_in = sign_in
        self._links = links
        self._mail = mail

    async def change(self, caller: Principal, current: str, password: str, source: Source, client: ClientInfo) -> Grant:
        """Replace the caller's password. All their sessions end, the current one too: the grant is of a new one.

        Raises WrongPassword, ValidationFailed for a bad new one, and SignInDelayed, RateLimited and Unavailable as a
        sign-in does: wrong passwords count as those of sign-ins do.
        """
        user_id = UserId(caller.id)
        async with self._database.control(caller.tenant) as session:
            user = await users_repository.find(session, user_id)
            if user is None:
                raise CredentialRevoked
            least = await self._least(session, user_id)
        checked_password(password, user.email, least)
        try:
            proven = await self._sign_in.prove(user.email, current, caller.tenant.slug, source, client)
            password_hash = await self._users.hash_password(
                password, user.email, least=least, source=source.address, lane=Lane.NEW
            )
            async with self._database.control(caller.tenant) as session:
                await self._sign_in.accept(session, proven)
                methods = await self._methods(session, caller)
                await self._set(session, user_id, user.email, password_hash, short=is_short(password))
                await self._record(session, client.origin, trail.PASSWORD_CHANGED, user_id)
                return await self._sign_in.open_session(
                    session, user_id, caller.tenant.id, methods=methods, client=client
                )
        except SignInRefused as error:
            raise WrongPassword from error

    async def forgot(self, email: str) -> None:
        """Have a link sent to the address, if it has an account. The same for every address (ID10).

        Raises MailOff.
        """
        mail = self._on()
        request = new_id()
        sealed = mail.sealer.seal(SealedRow(None, request), email.encode())
        async with self._database.control() as session:
            text = base64.b64encode(sealed).decode()
            await mail.queue.enqueue(session, FORGOT_TASK, request_id=str(request), sealed=text)

    async def send_link(self, request_id: str, sealed: str) -> None:
        """What the job does: issue the link and queue the message, unless there is nobody to send it to."""
        mail = self._on()
        email = mail.sealer.open(SealedRow(None, UUID(request_id)), base64.b64decode(sealed))
        if email is None:
            _log.warning("password_reset_not_sent", reason="the sealed address cannot be opened: its key is gone")
            return
        async with self._database.control() as session:
            user = await users_repository.find_by_email(session, email.decode())
            if user is None or user.disabled_at is not None:
                return
            if not await mail.pace.admits(session, _PACE, user.email):
                _log.info("password_reset_not_sent", reason="too many to this address")
                return
            purpose = LinkPurpose.PASSWORD_RESET
            secret = await self._links.issue(session, purpose, email=user.email, user_id=user.id)
            minutes = int(LONGEST_LIFE.total_seconds() // 60)
            message = PasswordReset(mail.product, self._links.url(purpose, secret), minutes)
            await mail.mail.enqueue(session, user.email, render(message))

    async def reset(self, token: str, password: str, source: Source, *, origin: Origin) -> None:
        """Set a new password by a link. All sessions of the person end, and none begins.

        Raises LinkInvalid, and ValidationFailed for a bad password, after which the link can still be used.
        """
        purpose = LinkPurpose.PASSWORD_RESET
        async with self._database.control() as session:
            link = await self._links.check(session, purpose, token)
            least = LEAST_CHARACTERS if link.user_id is None else await self._least(session, link.user_id)
        password_hash = await self._users.hash_password(
            password, link.email, least=least, source=source.address, lane=Lane.NEW
        )
        async with self._database.control() as session:
            link = await self._links.take(session, purpose, token)
            if link.user_id is None:
                raise LinkInvalid
            await self._set(session, link.user_id, link.email, password_hash, short=is_short(password))
            await self._record(session, origin, trail.PASSWORD_RESET, link.user_id)

    async def _methods(self, session: ControlSession, caller: Principal) -> Sequence[str]:
        """How the caller's session was proven by now: its access token knows no factor that it has enrolled since."""
        opened = None
        if caller.sign_in_id is not None:
            opened = await sign_ins.find_session(session, caller.sign_in_id)
        return caller.methods if opened is None else opened.methods

    async def _least(self, session: ControlSession, user: UserId) -> int:
        """The length that is required of the person's password.

        A short one takes a second factor that every sign-in with it needs; that a tenant requires one is not enough, as
        long as the person has none. And it takes mail: when the factor is lost, only a link sets the next password.
        """
        if self._mail is not None and await self._sign_in.has_second_factor(session, user):
            return LEAST_WITH_FACTOR
        return LEAST_CHARACTERS

    async def _set(self, session: ControlSession, user: UserId, email: str, password_hash: str, *, short: bool) -> None:
        await self._users.set_password(session, user, password_hash, is_short=short)
        # Once more, now that the person is locked: the factor may have been removed while the password was hashed.
        if short and await self._least(session, user) == LEAST_CHARACTERS:
            raise too_short(LEAST_CHARACTERS)
        if self._mail is not None:
            await self._mail.mail.enqueue(session, email, render(PasswordChanged(self._mail.product)))

    async def _record(self, session: ControlSession, origin: Origin, action: str, user: UserId) -> None:
        tenants = await sign_ins.tenants_of_member(session, user)
        await trail.record(session, tenants, origin, action, user)

    def _on(self) -> AccountMail:
        if self._mail is None:
            raise MailOff
        return self._mail
