"""A person's own second factors: see them, add and remove them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession, Database
from tenants.errors import NotFound, RateLimited, check_version
from tenants.identifiers import PasskeyId, SignInId, UserId
from tenants.mfa import passkeys, repository
from tenants.mfa.challenges import Purpose
from tenants.mfa.enrolment import (
    CODES_RENEWED,
    PASSKEY_ADDED,
    PASSKEY_REMOVED,
    TOTP_ADDED,
    TOTP_REMOVED,
    Change,
    FactorParts,
)
from tenants.mfa.errors import MfaRefused, NotEnrolled, PasskeyNotAccepted, ProofRefused
from tenants.mfa.factors import REFUSED, Answer, PasskeyAnswer, known, method_of
from tenants.mfa.models import Passkey
from tenants.mfa.passkeys import Credential
from tenants.mfa.schemas import MfaResponse, Proof, TotpEnrolment
from tenants.principal import TenantRef
from tenants.sign_in.client import ClientInfo
from tenants.sign_in.second_factor import OTP
from tenants.sign_in.service import SignIn, SignInRefused
from tenants.sign_in_limits.limits import Source
from tenants.users.models import User

_Result = TypeVar("_Result")
_Change = Callable[[ControlSession, User], Awaitable[_Result]]


@dataclass(frozen=True, slots=True)
class Caller:
    """A person who is signed in, and where their request comes from."""

    user: UserId
    tenant: TenantRef
    sign_in: SignInId | None
    source: Source
    client: ClientInfo


class OwnFactors:
    """Opens its own transactions: an attempt to prove is charged before the proof is checked.

    Adding and removing a factor needs a fresh proof: a stolen access token must not be enough to take over an account.
    A person who has a second factor proves with one, since a password alone is less than what they change.
    """

    def __init__(self, database: Database, sign_in: SignIn, parts: FactorParts) -> None:
        self._database = database
        self._sign_in = sign_in
        self._attempts = parts.attempts
        self._checks = parts.checks
        self._challenges = parts.checks.challenges
        self._enrolment = parts.enrolment
        self._refusals = parts.refusals

    async def read(self, session: ControlSession, user: UserId) -> MfaResponse:
        """What the person has enrolled."""
        factors = await repository.factors_of(session, user)
        return MfaResponse(
            totp=factors.totp,
            passkeys=factors.passkeys,
            recovery_codes=factors.recovery_codes,
            required=await repository.is_required_of(session, user),
        )

    async def begin_totp(self, caller: Caller, proof: Proof) -> TotpEnrolment:
        """A new secret for an authenticator app, which its first code confirms. Raises ProofRefused and MfaDelayed."""
        return await self._proved(caller, proof, self._enrolment.begin_totp)

    async def confirm_totp(self, caller: Caller, code: str) -> list[str] | None:
        """Take the new app into use; new recovery codes, if the person had none. It counts as used by this session.

        Raises NothingToConfirm, and ValidationFailed for a wrong code.
        """
        async with self._database.control(caller.tenant) as session:
            user = await self._locked(session, caller)
            codes = await self._enrolment.confirm_totp(session, user, code)
            await self._changed(session, caller, user, TOTP_ADDED, OTP)
            return codes

    async def remove_totp(self, caller: Caller, proof: Proof) -> None:
        """Remove the authenticator app. Raises NotEnrolled, LastFactor, ProofRefused and MfaDelayed."""

        async def remove(session: ControlSession, user: User) -> None:
            if not await self._enrolment.remove_totp(session, user):
                raise NotEnrolled
            await self._changed(session, caller, user, TOTP_REMOVED)

        await self._proved(caller, proof, remove)

    async def renew_recovery_codes(self, caller: Caller, proof: Proof) -> list[str]:
        """A new set of recovery codes; earlier ones end. Raises NotEnrolled, ProofRefused and MfaDelayed."""

        async def renew(session: ControlSession, user: User) -> list[str]:
            if not (await repository.factors_of(session, user.id)).count:
                raise NotEnrolled("Recovery codes replace a second factor. Enrol one first.")
            codes = await self._enrolment.new_codes(session, user)
            await self._changed(session, caller, user, CODES_RENEWED)
            return codes

        return await self._proved(caller, proof, renew)

    async def begin_passkey(self, caller: Caller, proof: Proof) -> dict[str, Any]:
        """Options to make a passkey with. Raises ProofRefused and MfaDelayed."""

        async def begin(session: ControlSession, user: User) -> dict[str, Any]:
            challenge = await self._challenges.begin_passkey(session, Purpose.REGISTRATION, user.id)
            existing = [known(row) for row in await repository.passkeys(session, user.id)]
            return passkeys.creation_options(
                self._checks.party, user.id, email=user.email, name=user.name, challenge=challenge, existing=existing
            )

        return await self._proved(caller, proof, begin)

    async def add_passkey(self, caller: Caller, name: str, credential: Credential) -> tuple[Passkey, list[str] | None]:
        """The passkey that answers the options, and recovery codes if the person had none. It counts as used, too.

        Raises PasskeyNotAccepted, PasskeyKnown and TooManyPasskeys.
        """
        try:
            async with self._database.control(caller.tenant) as session:
                challenge = await self._challenges.take_passkey(session, Purpose.REGISTRATION, caller.user, credential)
        except MfaRefused as error:
            raise PasskeyNotAccepted(error.detail) from error
        async with self._database.control(caller.tenant) as session:
            user = await self._locked(session, caller)
            answer = PasskeyAnswer(credential, challenge)
            row, codes = await self._enrolment.add_passkey(session, user, name, answer)
            await self._changed(session, caller, user, PASSKEY_ADDED, method_of(row))
            return row, codes

    async def page(self, session: ControlSession, user: UserId, keyset: Keyset) -> Sequence[Passkey]:
        """A page of the person's passkeys."""
        return await repository.page(session, user, keyset)

    async def read_passkey(self, session: ControlSession, user: UserId, identifier: PasskeyId) -> Passkey:
        """One passkey of the person. Raises NotFound, also for one of another person."""
        row = await repository.passkey(session, user, identifier)
        if row is None:
            raise NotFound
        return row

    async def rename_passkey(
        self,
        session: ControlSession,
        user: UserId,
        identifier: PasskeyId,
        name: str,
        *,
        versions: tuple[int, ...] | None = None,
    ) -> Passkey:
        """Name it. Raises NotFound and PreconditionFailed."""
        row = await self.read_passkey(session, user, identifier)
        check_version(row.version, versions)
        row.name = name
        await session.flush()
        return row

    async def remove_passkey(
        self, caller: Caller, proof: Proof, identifier: PasskeyId, *, versions: tuple[int, ...] | None = None
    ) -> None:
        """Remove it. Raises NotFound, PreconditionFailed, LastFactor, ProofRefused and MfaDelayed."""

        async def remove(session: ControlSession, user: User) -> None:
            row = await self.read_passkey(session, user.id, identifier)
            check_version(row.version, versions)
            await self._enrolment.remove_passkey(session, user, row)
            await self._changed(session, caller, user, PASSKEY_REMOVED)

        await self._proved(caller, proof, remove)

    async def _proved(self, caller: Caller, proof: Proof, change: _Change[_Result]) -> _Result:
        """Check the proof, then make the change in the transaction that uses the proof up."""
        try:
            if proof.password is not None:
                return await self._by_password(caller, proof.password, change)
            return await self._by_factor(caller, proof, change)
        except MfaRefused as error:
            self._refusals.note(caller.tenant.id, REFUSED, caller.user, caller.client.origin)
            raise ProofRefused(detail=error.detail) from error
        except SignInRefused as error:
            raise ProofRefused(detail=error.detail) from error

    async def _by_password(self, caller: Caller, password: str, change: _Change[_Result]) -> _Result:
        async with self._database.control(caller.tenant) as session:
            user = await self._locked(session, caller)
            await self._check_has_no_factor(session, user)
        proven = await self._sign_in.prove(user.email, password, caller.tenant.slug, caller.source, caller.client)
        async with self._database.control(caller.tenant) as session:
            user = await self._locked(session, caller)
            await self._sign_in.accept(session, proven)
            await self._check_has_no_factor(session, user)
            return await change(session, user)

    async def _by_factor(self, caller: Caller, proof: Proof, change: _Change[_Result]) -> _Result:
        async with self._database.control(caller.tenant) as session:
            attempt = await self._attempts.begin(session, caller.user, caller.source)
            answer = await self._answer(session, caller, proof)
        if isinstance(attempt, RateLimited):
            raise attempt  # after the transaction: the turn that it was given is committed
        async with self._database.control(caller.tenant) as session:
            user = await self._locked(session, caller)
            await self._checks.accepted(session, user.id, answer)
            await self._attempts.succeeded(session, attempt)
            return await change(session, user)

    async def _answer(self, session: ControlSession, caller: Caller, proof: Proof) -> Answer:
        if proof.passkey is None:
            return proof.code or ""
        credential = proof.passkey.as_json()
        challenge = await self._challenges.take_passkey(session, Purpose.ASSERTION, caller.user, credential)
        return PasskeyAnswer(credential, challenge)

    async def _check_has_no_factor(self, session: ControlSession, user: User) -> None:
        if (await repository.factors_of(session, user.id)).count:
            raise ProofRefused(detail="a password, of a person who has a second factor")

    async def _locked(self, session: ControlSession, caller: Caller) -> User:
        user = await repository.lock_user(session, caller.user)
        if user is None or user.disabled_at is not None:
            raise ProofRefused(detail="disabled meanwhile")
        return user

    async def _changed(
        self, session: ControlSession, caller: Caller, user: User, change: Change, used: str | None = None
    ) -> None:
        """``used`` is the method of a factor that the session has used by enrolling it."""
        tenant, keep = caller.tenant.id, caller.sign_in
        await self._enrolment.changed(session, user, change, tenant=tenant, origin=caller.client.origin, keep=keep)
        if used is not None and caller.sign_in is not None:
            await repository.add_method(session, caller.sign_in, used)
