"""Sign-in with a password, and rotation of refresh tokens (ID8, ID10)."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from tenants.credentials import CredentialExpired, CredentialInvalid, CredentialRevoked
from tenants.database.sessions import ControlSession, Database
from tenants.directory.errors import TenantSuspended
from tenants.errors import TenantryError
from tenants.identifiers import TenantId, UserId, new_id
from tenants.members import repository as members
from tenants.principal import TenantStatus
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.sealing import SealedRow, Sealer
from tenants.secrets.tokens import SecretKind, generate, kind_of
from tenants.sign_in import repository
from tenants.sign_in.access_tokens import AccessTokens
from tenants.sign_in.attempts import Attempt, SignInAttempts
from tenants.sign_in.limits import Source
from tenants.sign_in.models import RefreshToken
from tenants.sign_in.schemas import Grant
from tenants.users.passwords import PasswordHasher

# For this long a refresh can be repeated with the same result: after a lost response, or from two tabs at once.
GRACE = timedelta(seconds=10)
REFRESH_ANSWER = "refresh answer"  # purpose of the sealed answer


class SignInRefused(CredentialInvalid):
    """One error for a wrong password, an unknown or disabled person, and a tenant without membership."""

    message = "E-mail address, password or tenant is incorrect."


@dataclass(frozen=True, slots=True)
class _Session:
    """The sign-in that a token belongs to."""

    family: UUID
    user: UserId
    tenant: TenantId


class SignIn:
    """Opens its own transactions: none is held while a password is hashed, and an ended family is committed
    before the error is raised.
    """

    def __init__(
        self,
        database: Database,
        *,
        hasher: SecretHasher,
        passwords: PasswordHasher,
        attempts: SignInAttempts,
        tokens: AccessTokens,
        sealer: Sealer,
        refresh_life: timedelta,
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._passwords = passwords
        self._attempts = attempts
        self._tokens = tokens
        self._sealer = sealer
        self._refresh_life = refresh_life

    async def login(self, email: str, password: str, slug: str, source: Source) -> Grant:
        """Sign in. Raises SignInRefused, after the same work for every reason; TenantSuspended for members only.

        Raises SignInDelayed, before the password is checked, after too many wrong ones; RateLimited and Unavailable in
        a flood.
        """
        attempt = await self._attempts.begin(email, slug, source)
        user, tenant = attempt.account.user, attempt.account.tenant
        if not await self._matches(attempt, password) or user is None or tenant is None or user.disabled_at is not None:
            raise SignInRefused
        async with self._database.control() as session:
            await self._attempts.succeeded(session, attempt, user.id, tenant.id)
            # Held: a member who is removed or disabled meanwhile gets no session that could outlive it (ID15).
            member = await members.find(session, tenant.id, user.id, hold=True)
            if member is None or member.is_disabled:
                raise SignInRefused
            if tenant.status != TenantStatus.SUSPENDED:
                return await self._grant(session, _Session(new_id(), user.id, tenant.id))
        raise TenantSuspended

    async def _matches(self, attempt: Attempt, password: str) -> bool:
        user = attempt.account.user
        stored = None if user is None else user.password_hash
        try:
            return await self._passwords.verify(password, stored, source=attempt.place, lane=attempt.lane)
        except TenantryError:  # too many wait
            await self._attempts.undo(attempt)
            raise

    async def refresh(self, secret: str) -> Grant:
        """Rotate: the next access and refresh token; repeated within the grace period, the same ones.

        Raises CredentialInvalid, CredentialExpired, CredentialRevoked (also for reuse, which ends the sign-in), and
        TenantSuspended.
        """
        if kind_of(secret) is not SecretKind.REFRESH:
            raise CredentialInvalid
        async with self._database.control() as session:
            outcome = await self._rotate(session, secret)
        if not isinstance(outcome, Grant):
            raise outcome  # after the transaction: the end of the family is committed
        return outcome

    async def logout(self, secret: str) -> None:
        """End the sign-in of this token. Ignores unknown tokens."""
        if kind_of(secret) is not SecretKind.REFRESH:
            return
        async with self._database.control() as session:
            token = await self._find(session, secret)
            if token is not None:
                await repository.end_family(session, token.family_id, datetime.now(UTC))

    async def _rotate(self, session: ControlSession, secret: str) -> Grant | type[TenantryError]:
        token = await self._find(session, secret)
        if token is None:
            return CredentialInvalid
        await repository.lock_family(session, token)
        now = datetime.now(UTC)
        if token.family_ended_at is not None:
            return CredentialRevoked
        if token.used_at is not None:
            return await self._repeated(session, token, token.used_at, now)
        if token.expires_at <= now:
            return CredentialExpired
        return await self._next(session, token, now)

    async def _repeated(
        self, session: ControlSession, token: RefreshToken, used_at: datetime, now: datetime
    ) -> Grant | type[TenantryError]:
        # The sealed response is removed when its token is used: later repetitions come from another client.
        if token.successor_sealed is not None and now - used_at <= GRACE:
            plain = self._sealer.open(_row(token), token.successor_sealed)
            if plain is not None:
                return Grant.model_validate_json(plain)
        await repository.end_family(session, token.family_id, now)
        return CredentialRevoked

    async def _next(self, session: ControlSession, token: RefreshToken, now: datetime) -> Grant | type[TenantryError]:
        member = await members.find(session, token.tenant_id, token.user_id, hold=True)
        if member is None or member.is_disabled:
            return CredentialRevoked
        if member.tenant.status == TenantStatus.SUSPENDED:
            return TenantSuspended
        grant = await self._grant(session, _Session(token.family_id, token.user_id, token.tenant_id))
        sealed = self._sealer.seal(_row(token), grant.model_dump_json().encode())
        await repository.mark_used(session, token, now, sealed)
        return grant

    async def _grant(self, session: ControlSession, owner: _Session) -> Grant:
        secret = generate(SecretKind.REFRESH)
        token = RefreshToken(
            id=new_id(),
            family_id=owner.family,
            user_id=owner.user,
            tenant_id=owner.tenant,
            digest=self._hasher.digest(secret).value,
            expires_at=datetime.now(UTC) + self._refresh_life,
        )
        session.add(token)
        await session.flush()
        access = self._tokens.issue(owner.user, owner.tenant, owner.family)
        return Grant(access_token=access, expires_in=self._tokens.lifetime, refresh_token=secret)

    async def _find(self, session: ControlSession, secret: str) -> RefreshToken | None:
        token = await repository.find(session, [each.value for each in self._hasher.candidates(secret)])
        return token if token and self._hasher.matches(secret, token.digest) else None


def _row(token: RefreshToken) -> SealedRow:
    return SealedRow(token.tenant_id, token.id)
