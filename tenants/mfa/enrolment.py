"""Changes of a person's second factors, and what follows from each: a mail, an audit row, the end of other sessions."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.audit.refusals import Refusals
from tenants.database.sessions import ControlSession
from tenants.errors import ValidationFailed
from tenants.identifiers import PasskeyId, SignInId, TenantId, new_id
from tenants.mail.service import Mail
from tenants.mail.templates import SecondFactorChanged, render
from tenants.mfa import passkeys, recovery_codes, repository, totp
from tenants.mfa.attempts import FactorAttempts
from tenants.mfa.errors import (
    LastFactor,
    NothingToConfirm,
    PasskeyKnown,
    PasskeyNotAccepted,
    ShortPassword,
    TooManyPasskeys,
)
from tenants.mfa.factors import FactorChecks, PasskeyAnswer, recovery_secret
from tenants.mfa.models import Passkey, RecoveryCode, TotpFactor
from tenants.mfa.schemas import TotpEnrolment
from tenants.secrets.sealing import SealedRow
from tenants.sign_in import repository as sign_ins
from tenants.users.models import User

PENDING_LIFE = timedelta(minutes=15)  # for which an app waits for its first code
MOST_PASSKEYS = 20  # of one person


@dataclass(frozen=True, slots=True)
class Change:
    """What has happened to a person's factors: for the audit log, and as a sentence for the person."""

    action: str
    sentence: str


TOTP_ADDED = Change("members.totp_added", "An authenticator app was added.")
TOTP_REMOVED = Change("members.totp_removed", "The authenticator app was removed.")
PASSKEY_ADDED = Change("members.passkey_added", "A passkey was added.")
PASSKEY_REMOVED = Change("members.passkey_removed", "A passkey was removed.")
CODES_RENEWED = Change("members.recovery_codes_renewed", "New recovery codes were made.")
_RESET, _REMOVED = "members.mfa_reset", "All your second factors were removed by an administrator."
FACTORS_RESET = Change(_RESET, _REMOVED)
FACTORS_RESET_LONGER = Change(
    _RESET, f"{_REMOVED} Your password is too short without one: request a link to set a longer one."
)


class Enrolment:
    """Every call runs in the caller's transaction, which has locked the person (``repository.lock_user``)."""

    def __init__(self, checks: FactorChecks, mail: Mail | None) -> None:
        self._checks = checks
        self._mail = mail

    async def begin_totp(self, session: ControlSession, user: User) -> TotpEnrolment:
        """A new secret, which takes effect with its first code; an earlier one that waits is discarded."""
        await repository.remove_totp(session, user.id, confirmed=False)
        secret, identifier = totp.new_secret(), new_id()
        sealed = self._checks.sealer.seal(SealedRow(None, identifier), secret.encode())
        session.add(TotpFactor(id=identifier, user_id=user.id, secret_sealed=sealed))
        uri = totp.enrolment_uri(secret, account=user.email, issuer=self._checks.party.name)
        return TotpEnrolment(secret=secret, uri=uri, qr_svg=totp.qr_svg(uri))

    async def confirm_totp(self, session: ControlSession, user: User, code: str) -> list[str] | None:
        """Put the new app in place of an earlier one. New recovery codes, unless the person has some.

        Raises NothingToConfirm, and ValidationFailed for a wrong code.
        """
        row = await repository.totp(session, user.id, confirmed=False)
        if row is None or row.created_at <= datetime.now(UTC) - PENDING_LIFE:
            raise NothingToConfirm
        step = self._checks.accepted_step(row, code)
        if step is None:
            raise ValidationFailed.at("/code", "wrong_code", "Not the app's current code. Check the clock, try again.")
        await repository.remove_totp(session, user.id, confirmed=True)
        row.confirmed_at, row.last_step = datetime.now(UTC), step
        return await self._first_codes(session, user)

    async def remove_totp(self, session: ControlSession, user: User) -> bool:
        """Remove the app. False when there is none. Raises LastFactor and ShortPassword."""
        removed = await repository.remove_totp(session, user.id, confirmed=True)
        await self._after_removal(session, user)
        return removed

    async def add_passkey(
        self, session: ControlSession, user: User, name: str, answer: PasskeyAnswer
    ) -> tuple[Passkey, list[str] | None]:
        """The new passkey, and new recovery codes unless the person has some.

        Raises PasskeyNotAccepted, PasskeyKnown and TooManyPasskeys.
        """
        try:
            registered = passkeys.verify_registration(self._checks.party, answer.credential, answer.challenge)
        except passkeys.PasskeyRefused as error:
            raise PasskeyNotAccepted(str(error)) from error
        if await repository.owner_of(session, registered.known.credential_id) is not None:
            raise PasskeyKnown
        if (await repository.factors_of(session, user.id)).passkeys >= MOST_PASSKEYS:
            raise TooManyPasskeys
        row = Passkey(
            id=PasskeyId(new_id()),
            user_id=user.id,
            credential_id=registered.known.credential_id,
            public_key=registered.known.public_key,
            sign_count=registered.known.sign_count,
            synced=registered.synced,
            transports=list(registered.known.transports),
            name=name,
        )
        session.add(row)
        await session.flush()
        return row, await self._first_codes(session, user)

    async def remove_passkey(self, session: ControlSession, user: User, row: Passkey) -> None:
        """Remove it. Raises LastFactor and ShortPassword."""
        await session.delete(row)
        await session.flush()
        await self._after_removal(session, user)

    async def new_codes(self, session: ControlSession, user: User) -> list[str]:
        """A new set of recovery codes in place of the earlier one."""
        await repository.remove_recovery_codes(session, user.id)
        codes = recovery_codes.new_codes()
        session.add_all(self._code(user, code) for code in codes)
        return codes

    async def changed(
        self,
        session: ControlSession,
        user: User,
        change: Change,
        *,
        tenant: TenantId,
        origin: Origin,
        keep: SignInId | None = None,
    ) -> None:
        """After every change: end what was begun before it and all sessions but ``keep``; record it, and mail it.

        Enrolments that were begun end too: what proved them may not be enough any more. The audit log is that of the
        tenant in whose session the change was made.
        """
        await repository.remove_pending(session, user.id)
        await sign_ins.end_all_sign_ins(session, user.id, datetime.now(UTC), keep=keep)
        await audit.record(session, tenant, origin, change.action, user.id)
        if self._mail is not None:
            content = render(SecondFactorChanged(product=self._checks.party.name, change=change.sentence))
            await self._mail.enqueue(session, user.email, content)

    def _code(self, user: User, code: str) -> RecoveryCode:
        secret = recovery_secret(user.id, recovery_codes.canonical(code) or "")
        return RecoveryCode(id=new_id(), user_id=user.id, digest=self._checks.hasher.digest(secret).value)

    async def _first_codes(self, session: ControlSession, user: User) -> list[str] | None:
        if (await repository.factors_of(session, user.id)).recovery_codes:
            return None
        return await self.new_codes(session, user)

    async def _after_removal(self, session: ControlSession, user: User) -> None:
        if (await repository.factors_of(session, user.id)).count:
            return
        if await repository.is_required_of(session, user.id):
            raise LastFactor
        if user.password_is_short:
            raise ShortPassword
        await repository.remove_recovery_codes(session, user.id)


@dataclass(frozen=True, slots=True)
class FactorParts:
    """What everything that uses second factors has in common."""

    attempts: FactorAttempts
    checks: FactorChecks
    enrolment: Enrolment
    refusals: Refusals
