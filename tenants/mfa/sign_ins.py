"""Sign-ins with a second factor: after a password, by a person who has to enrol one, and by a passkey alone."""

from typing import Any

from tenants.database.sessions import ControlSession, Database
from tenants.errors import FieldError, RateLimited, ValidationFailed
from tenants.identifiers import TenantId, UserId
from tenants.mfa import passkeys, repository
from tenants.mfa.attempts import FactorAttempt
from tenants.mfa.challenges import Purpose, Waiting, has_same_password
from tenants.mfa.enrolment import TOTP_ADDED, FactorParts
from tenants.mfa.errors import MfaRefused
from tenants.mfa.factors import REFUSED, Answer, PasskeyAnswer, known
from tenants.mfa.passkeys import Credential
from tenants.mfa.schemas import TotpConfirmed, TotpEnrolment
from tenants.principal import Actor, ActorKind
from tenants.sign_in.client import ClientInfo
from tenants.sign_in.schemas import Grant
from tenants.sign_in.second_factor import OTP
from tenants.sign_in.service import SignIn, SignInRefused
from tenants.sign_in_limits.limits import Source
from tenants.users.models import User


class MfaSignIns:
    """Opens its own transactions: an attempt is charged, and a passkey's challenge used up, before it is checked."""

    def __init__(self, database: Database, sign_in: SignIn, parts: FactorParts) -> None:
        self._database = database
        self._sign_in = sign_in
        self._attempts = parts.attempts
        self._checks = parts.checks
        self._challenges = parts.checks.challenges
        self._enrolment = parts.enrolment
        self._refusals = parts.refusals

    async def verify(
        self,
        token: str,
        code: str | None,
        credential: Credential | None,
        *,
        source: Source,
        client: ClientInfo,
    ) -> Grant:
        """Complete a sign-in with a code or a passkey. A wrong one is noted for the tenant's audit log.

        Raises MfaRefused, MfaDelayed after too many wrong ones, and what ``SignIn.open_session`` raises.
        """
        async with self._database.control() as session:
            waiting = await self._challenges.sign_in(session, token)
            attempt = await self._attempts.begin(session, waiting.user, source)
            answer = await self._answer(session, waiting.user, code, credential)
        if isinstance(attempt, RateLimited):
            raise attempt  # after the transaction: the turn that it was given is committed
        try:
            async with self._database.control() as session:
                return await self._completed(session, token, answer, attempt, client)
        except MfaRefused:
            self._refusals.note(waiting.tenant, REFUSED, waiting.user, client.origin)
            raise

    async def begin_totp(self, token: str) -> TotpEnrolment:
        """A new secret for a person who has to enrol before this sign-in goes on. Raises MfaRefused."""
        async with self._database.control() as session:
            _, user = await self._enrolling(session, token)
            return await self._enrolment.begin_totp(session, user)

    async def confirm_totp(self, token: str, code: str, source: Source, client: ClientInfo) -> TotpConfirmed:
        """Take the new app into use, and complete the sign-in.

        Raises MfaRefused, NothingToConfirm, ValidationFailed for a wrong code, and what ``SignIn.open_session`` raises.
        """
        async with self._database.control() as session:
            waiting, user = await self._enrolling(session, token)
            codes = await self._enrolment.confirm_totp(session, user, code)
            by_person = client.origin.by(Actor(ActorKind.USER, user.id))
            await self._enrolment.changed(session, user, TOTP_ADDED, tenant=waiting.tenant, origin=by_person)
            await self._challenges.end(session, waiting)
            grant = await self._open(session, user.id, waiting.tenant, [*waiting.challenge.methods, OTP], client)
            await self._attempts.remember(session, user.id, waiting.tenant, source)
            return TotpConfirmed(recovery_codes=codes, grant=grant)

    async def passkey_options(self, user: UserId | None, token: str | None) -> dict[str, Any]:
        """Options to use a passkey with: of this person, of the person of a sign-in, or of any person.

        Raises MfaRefused for a token that is not good.
        """
        async with self._database.control() as session:
            if token is not None:
                user = (await self._challenges.sign_in(session, token)).user
            purpose = Purpose.PASSKEY_SIGN_IN if user is None else Purpose.ASSERTION
            challenge = await self._challenges.begin_passkey(session, purpose, user)
            allowed = [] if user is None else [known(row) for row in await repository.passkeys(session, user)]
            return passkeys.request_options(self._checks.party, challenge=challenge, allowed=allowed)

    async def log_in_with_passkey(
        self, credential: Credential, slug: str | None, source: Source, client: ClientInfo
    ) -> Grant:
        """Sign in with a passkey that names the person and has verified them.

        Raises MfaRefused, ValidationFailed for a member of several tenants who names none, SignInRefused for a tenant
        that the person is not a member of, and what ``SignIn.open_session`` raises.
        """
        async with self._database.control() as session:
            challenge = await self._challenges.take_passkey(session, Purpose.PASSKEY_SIGN_IN, None, credential)
        async with self._database.control() as session:
            user = await self._owner(session, credential)
            answer = PasskeyAnswer(credential, challenge)
            method = await self._checks.accepted_passkey(session, user, answer, is_only_factor=True)
            tenant = await self._tenant(session, user, slug)
            grant = await self._open(session, user, tenant, [method], client)
            await self._attempts.remember(session, user, tenant, source)
            return grant

    async def _answer(
        self, session: ControlSession, user: UserId, code: str | None, credential: Credential | None
    ) -> Answer:
        if credential is None:
            return code or ""
        challenge = await self._challenges.take_passkey(session, Purpose.ASSERTION, user, credential)
        return PasskeyAnswer(credential, challenge)

    async def _completed(
        self, session: ControlSession, token: str, answer: Answer, attempt: FactorAttempt, client: ClientInfo
    ) -> Grant:
        waiting, user = await self._waiting(session, token)
        method = await self._checks.accepted(session, user.id, answer)
        await self._challenges.end(session, waiting)
        await self._attempts.succeeded(session, attempt)
        await self._attempts.remember(session, user.id, waiting.tenant, attempt.source)
        return await self._open(session, user.id, waiting.tenant, [*waiting.challenge.methods, method], client)

    async def _waiting(self, session: ControlSession, token: str) -> tuple[Waiting, User]:
        """The sign-in and its person, both locked. Raises MfaRefused."""
        named = await self._challenges.sign_in(session, token)
        user = await repository.lock_user(session, named.user)
        waiting = await self._challenges.sign_in(session, token, hold=True)
        if user is None or not has_same_password(waiting, user):
            raise MfaRefused(detail="the password has changed since the sign-in began")
        return waiting, user

    async def _enrolling(self, session: ControlSession, token: str) -> tuple[Waiting, User]:
        """As ``_waiting``, of a person without a second factor: nobody adds one beside it with a password alone."""
        waiting, user = await self._waiting(session, token)
        if (await repository.factors_of(session, user.id)).count:
            raise MfaRefused(detail="the person has a second factor")
        return waiting, user

    async def _owner(self, session: ControlSession, credential: Credential) -> UserId:
        try:
            user = await repository.owner_of(session, passkeys.credential_id_of(credential))
        except passkeys.PasskeyRefused as error:
            raise MfaRefused(detail=str(error)) from error
        if user is None or await repository.lock_user(session, user) is None:
            raise MfaRefused(detail="unknown passkey")
        return user

    async def _tenant(self, session: ControlSession, user: UserId, slug: str | None) -> TenantId:
        tenants = await repository.tenants_of(session, user, slug)
        if len(tenants) > 1:
            message = "Name the tenant: you are a member of several."
            raise ValidationFailed((FieldError("/tenant", "missing", message),))
        if not tenants:
            raise SignInRefused
        return tenants[0]

    async def _open(
        self, session: ControlSession, user: UserId, tenant: TenantId, methods: list[str], client: ClientInfo
    ) -> Grant:
        return await self._sign_in.open_session(session, user, tenant, methods=methods, client=client)
