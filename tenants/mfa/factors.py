"""What a person's second factors are good for: whether a sign-in needs one, and whether what was presented holds."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from tenants.database.sessions import ControlSession
from tenants.identifiers import UserId
from tenants.members.repository import Member
from tenants.mfa import passkeys, recovery_codes, repository, totp
from tenants.mfa.challenges import LIFE, Challenges
from tenants.mfa.errors import MfaRefused
from tenants.mfa.models import Passkey, TotpFactor
from tenants.mfa.passkeys import Credential, Known, PasskeyRefused, RelyingParty
from tenants.mfa.repository import Factors
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.sealing import SealedRow, Sealer
from tenants.sign_in.schemas import MfaChallenge
from tenants.sign_in.second_factor import HARDWARE_KEY, OTP, RECOVERY_CODE, SOFTWARE_KEY, is_multi_factor

REFUSED = "sign_in.mfa_refused"  # in the audit log: a wrong code or passkey, with the password or with a session
TOTP_SECRET = "totp secret"  # noqa: S105 - purpose of the sealed value

Method = Literal["totp", "passkey", "recovery_code"]


@dataclass(frozen=True, slots=True)
class PasskeyAnswer:
    """A passkey that answers a challenge, which was taken for this purpose."""

    credential: Credential
    challenge: str


Answer = str | PasskeyAnswer  # a code of an authenticator app, a recovery code, or a passkey


class FactorChecks:
    """Every call runs in the caller's transaction, which holds the person."""

    def __init__(
        self,
        *,
        hasher: SecretHasher,
        sealer: Sealer,
        challenges: Challenges,
        party: RelyingParty,
        clock: totp.Clock = time.time,
    ) -> None:
        self.hasher = hasher
        self.sealer = sealer
        self.challenges = challenges
        self.party = party
        self._clock = clock

    async def is_needed(self, session: ControlSession, member: Member, methods: Sequence[str]) -> bool:
        """Whether the person has a second factor, or the tenant requires one, and the sign-in used none."""
        if is_multi_factor(methods):
            return False
        return member.tenant.require_mfa or await self.has_any(session, member.id)

    async def has_any(self, session: ControlSession, user: UserId) -> bool:
        """Whether the person has enrolled one."""
        return (await repository.factors_of(session, user)).count > 0

    async def begin(self, session: ControlSession, member: Member, methods: Sequence[str]) -> MfaChallenge:
        """Let the sign-in wait for a second factor, or for the person to enrol one."""
        factors = await repository.factors_of(session, member.id)
        token = await self.challenges.begin_sign_in(session, member.user, member.tenant.id, methods)
        return MfaChallenge(
            mfa_token=token,
            expires_in=int(LIFE.total_seconds()),
            methods=_usable(factors),
            enroll=not factors.count,
        )

    async def accepted(self, session: ControlSession, user: UserId, answer: Answer) -> str:
        """The method (RFC 8176) of an answer that holds; it never holds again. Raises MfaRefused."""
        if isinstance(answer, PasskeyAnswer):
            return await self.accepted_passkey(session, user, answer, is_only_factor=False)
        code = answer.replace(" ", "")
        if totp.is_code(code):
            return await self._accepted_code(session, user, code)
        return await self._accepted_recovery_code(session, user, code)

    async def accepted_passkey(
        self, session: ControlSession, user: UserId, answer: PasskeyAnswer, *, is_only_factor: bool
    ) -> str:
        """The method of a passkey that holds. As the only factor, it must have verified the person.

        Raises MfaRefused, also for a counter that has not grown: the passkey may have been copied.
        """
        try:
            return await self._used(session, user, answer, is_only_factor=is_only_factor)
        except PasskeyRefused as error:
            raise MfaRefused(detail=str(error)) from error

    def accepted_step(self, row: TotpFactor, code: str) -> int | None:
        """The time step of a code of this app that was not accepted before; None for any other code.

        A secret that is sealed under an old key is sealed again, so that keys rotate online (SE1).
        """
        sealed_for = SealedRow(None, row.id)
        secret = self.sealer.open(sealed_for, row.secret_sealed)
        if secret is None:
            return None
        if not self.sealer.is_current(row.secret_sealed):
            row.secret_sealed = self.sealer.seal(sealed_for, secret)
        return totp.accepted_step(secret.decode(), code.replace(" ", ""), now=self._clock(), after=row.last_step)

    async def _used(self, session: ControlSession, user: UserId, answer: PasskeyAnswer, *, is_only_factor: bool) -> str:
        credential = answer.credential
        row = await repository.passkey_by_credential(session, user, passkeys.credential_id_of(credential))
        if row is None or not passkeys.belongs_to(credential, user, required=is_only_factor):
            raise PasskeyRefused("the passkey is not one of this person")
        used = passkeys.verify_assertion(
            self.party, credential, answer.challenge, known(row), verified_person=is_only_factor
        )
        row.sign_count, row.last_used_at = used.sign_count, datetime.now(UTC)
        return method_of(row)

    async def _accepted_code(self, session: ControlSession, user: UserId, code: str) -> str:
        row = await repository.totp(session, user, confirmed=True)
        step = None if row is None else self.accepted_step(row, code)
        if row is None or step is None:
            raise MfaRefused(detail="wrong code, or one of a time step that was used")
        row.last_step = step
        return OTP

    async def _accepted_recovery_code(self, session: ControlSession, user: UserId, code: str) -> str:
        characters = recovery_codes.canonical(code)
        if characters is None:
            raise MfaRefused(detail="not a code")
        secret = recovery_secret(user, characters)
        digests = [each.value for each in self.hasher.candidates(secret)]
        row = await repository.recovery_code(session, user, digests)
        if row is None or not self.hasher.matches(secret, row.digest):
            raise MfaRefused(detail="unknown or used recovery code")
        await session.delete(row)
        return RECOVERY_CODE


def recovery_secret(user: UserId, characters: str) -> str:
    """What is hashed of a recovery code: it is bound to the person."""
    return f"recovery {user.hex} {characters}"


def method_of(row: Passkey) -> str:
    """The method (RFC 8176) of a use of this passkey."""
    return SOFTWARE_KEY if row.synced else HARDWARE_KEY


def known(row: Passkey) -> Known:
    """What verification needs of a stored passkey."""
    return Known(row.credential_id, row.public_key, row.sign_count, row.transports)


def _usable(factors: Factors) -> list[Method]:
    present: dict[Method, bool] = {
        "totp": factors.totp,
        "passkey": factors.passkeys > 0,
        "recovery_code": factors.count > 0 and factors.recovery_codes > 0,
    }
    return [method for method, is_present in present.items() if is_present]
