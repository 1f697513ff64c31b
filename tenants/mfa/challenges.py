"""Tokens and challenges of steps that a person has to take within minutes. Stored as keyed hashes, used once."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from tenants.database.sessions import ControlSession
from tenants.identifiers import TenantId, UserId, new_id
from tenants.mfa import passkeys, repository
from tenants.mfa.errors import MfaRefused
from tenants.mfa.models import Challenge
from tenants.mfa.passkeys import PasskeyRefused
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.tokens import SecretKind, generate, kind_of
from tenants.users.models import User

LIFE = timedelta(minutes=5)


class Purpose(StrEnum):
    """What a challenge is for; one is never good for another purpose."""

    SIGN_IN = "sign_in"  # the password was right: a second factor is awaited
    REGISTRATION = "passkey_registration"
    ASSERTION = "passkey_assertion"  # of a known person
    PASSKEY_SIGN_IN = "passkey_sign_in"  # the passkey names the person


class Waiting(NamedTuple):
    """A sign-in that waits for a second factor."""

    challenge: Challenge
    user: UserId
    tenant: TenantId


class Challenges:
    """Every call runs in the caller's transaction."""

    def __init__(self, hasher: SecretHasher) -> None:
        self._hasher = hasher

    async def begin_sign_in(self, session: ControlSession, user: User, tenant: TenantId, methods: Sequence[str]) -> str:
        """The token with which this sign-in goes on. It ends with the person's password."""
        token = generate(SecretKind.MFA)
        session.add(
            self._new(
                Purpose.SIGN_IN, token, user.id, tenant=tenant, password=password_digest_of(user), methods=methods
            )
        )
        return token

    async def sign_in(self, session: ControlSession, token: str, *, hold: bool = False) -> Waiting:
        """The sign-in of this token, which stays until it is ended. With ``hold``, its uses are serialised.

        Raises MfaRefused for a token that is unknown, used or expired.
        """
        if kind_of(token) is not SecretKind.MFA:
            raise MfaRefused(detail="not a token of a sign-in")
        found = await self._find(session, Purpose.SIGN_IN, token, hold=hold)
        if found is None or found.user_id is None or found.tenant_id is None:
            raise MfaRefused(detail="unknown, used or expired token")
        return Waiting(found, found.user_id, found.tenant_id)

    async def end(self, session: ControlSession, waiting: Waiting) -> None:
        """Delete the token: it was used."""
        await repository.remove_challenge(session, waiting.challenge.id)

    async def begin_passkey(self, session: ControlSession, purpose: Purpose, user: UserId | None) -> str:
        """A challenge for a passkey, in base64url; without ``user``, for any person."""
        challenge = passkeys.new_challenge()
        session.add(self._new(purpose, challenge, user))
        return challenge

    async def take_passkey(
        self, session: ControlSession, purpose: Purpose, user: UserId | None, credential: passkeys.Credential
    ) -> str:
        """The challenge that this credential answers, which is deleted: commit, whatever the credential is worth.

        Raises MfaRefused for one that is unknown, used, expired, for another purpose or another person.
        """
        try:
            challenge = passkeys.challenge_of(credential)
        except PasskeyRefused as error:
            raise MfaRefused(detail=str(error)) from error
        found = await self._find(session, purpose, challenge, hold=True)
        if found is None or found.user_id != user:
            raise MfaRefused(detail="unknown, used or expired challenge")
        await repository.remove_challenge(session, found.id)
        return challenge

    def _new(
        self,
        purpose: Purpose,
        secret: str,
        user: UserId | None,
        *,
        tenant: TenantId | None = None,
        password: bytes | None = None,
        methods: Sequence[str] = (),
    ) -> Challenge:
        return Challenge(
            id=new_id(),
            purpose=purpose,
            digest=self._hasher.digest(secret).value,
            user_id=user,
            tenant_id=tenant,
            password_digest=password,
            methods=list(methods),
            expires_at=datetime.now(UTC) + LIFE,
        )

    async def _find(self, session: ControlSession, purpose: Purpose, secret: str, *, hold: bool) -> Challenge | None:
        digests = [each.value for each in self._hasher.candidates(secret)]
        found = await repository.challenge(session, purpose, digests, hold=hold)
        return found if found and self._hasher.matches(secret, found.digest) else None


def password_digest_of(user: User) -> bytes | None:
    """Names the person's current password without being a second copy of its hash."""
    return None if user.password_hash is None else hashlib.sha256(user.password_hash.encode()).digest()


def has_same_password(waiting: Waiting, user: User) -> bool:
    """Whether the password has not changed since the sign-in began."""
    then, now = waiting.challenge.password_digest, password_digest_of(user)
    return hmac.compare_digest(then or b"", now or b"")
