"""Sign-in with a password, and rotation of refresh tokens (ID8, ID10)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.audit.refusals import Refusals
from tenants.credentials import CredentialExpired, CredentialInvalid, CredentialRevoked
from tenants.database.sessions import ControlSession, Database
from tenants.directory import repository as directory
from tenants.directory.errors import TenantSuspended
from tenants.directory.models import Tenant
from tenants.errors import TenantryError
from tenants.events.models import Category
from tenants.identifiers import SESSION, SignInId, TenantId, UserId, new_id, show
from tenants.members import repository as members
from tenants.members.repository import Member
from tenants.principal import Actor, ActorKind, TenantStatus
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.sealing import SealedRow, Sealer
from tenants.secrets.tokens import SecretKind, generate, kind_of
from tenants.sign_in import repository, trail
from tenants.sign_in.access_tokens import AccessTokens
from tenants.sign_in.client import UNKNOWN_CLIENT, ClientInfo
from tenants.sign_in.errors import LongerPasswordNeeded, TokenReused
from tenants.sign_in.models import RefreshToken, UserSession
from tenants.sign_in.policy import CheckPolicy, SsoRequired
from tenants.sign_in.schemas import Grant, MfaChallenge
from tenants.sign_in.second_factor import SecondFactorNeeded, SecondFactors, is_multi_factor
from tenants.sign_in_limits.attempts import Attempt, SignInAttempts
from tenants.sign_in_limits.limits import Source
from tenants.users.models import User
from tenants.users.passwords import PasswordHasher

# For this long a refresh can be repeated with the same result: after a lost response, or from two tabs at once.
GRACE = timedelta(seconds=10)
REFRESH_ANSWER = "refresh answer"  # purpose of the sealed answer
PASSWORD = "pwd"  # authentication method reference (RFC 8176)  # noqa: S105 - not a secret


class SignInRefused(CredentialInvalid):
    """One error for a wrong password, an unknown or disabled person, and a tenant without membership."""

    message = "E-mail address, password or tenant is incorrect."


@dataclass(frozen=True, slots=True)
class ProvenPassword:
    """A person who has given the right password, for a tenant of theirs."""

    attempt: Attempt
    user: User
    tenant: Tenant


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
        second_factors: SecondFactors,
        refresh_life: timedelta,
        check_policy: CheckPolicy,
        refusals: Refusals,
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._passwords = passwords
        self._attempts = attempts
        self._tokens = tokens
        self._sealer = sealer
        self._second_factors = second_factors
        self._refresh_life = refresh_life
        self._check_policy = check_policy
        self._refusals = refusals

    async def login(
        self, email: str, password: str, slug: str, source: Source, client: ClientInfo | None = None
    ) -> Grant | MfaChallenge:
        """Sign in, or go on with a second factor: after a right password only, so that a wrong one reveals nothing.

        Raises SignInRefused, after the same work for every reason; TenantSuspended for members only; and
        LongerPasswordNeeded for a short password whose second factor is gone.
        Raises SignInDelayed, before the password is checked, after too many wrong ones; RateLimited and Unavailable in
        a flood.
        """
        proven = await self.prove(email, password, slug, source, client)
        try:
            async with self._database.control() as session:
                await self.accept(session, proven)
                user, tenant = proven.user.id, proven.tenant.id
                begun = await self.begin_session(session, user, tenant, methods=[PASSWORD], client=client)
                if isinstance(begun, Grant):
                    await self._attempts.remember(session, user, tenant, source)
                return begun
        except (TenantSuspended, SsoRequired, LongerPasswordNeeded):
            await self._attempts.undo(proven.attempt)  # the password was right
            raise

    async def prove(
        self, email: str, password: str, slug: str, source: Source, client: ClientInfo | None = None
    ) -> ProvenPassword:
        """Check a password. ``accept`` is due when the sign-in succeeds. Raises as ``login`` does for a wrong one.

        A wrong password of a member is noted for the tenant's audit log.
        """
        async with self._attempts.begun(email, slug, source) as attempt:
            matches = await self._matches(attempt, password)
        user, tenant = attempt.account.user, attempt.account.tenant
        if not matches or user is None or tenant is None or user.disabled_at is not None:
            if user is not None and tenant is not None:
                self._refusals.note(tenant.id, "sign_in.refused", user.id, (client or UNKNOWN_CLIENT).origin)
            raise SignInRefused
        return ProvenPassword(attempt, user, tenant)

    async def accept(self, session: ControlSession, proven: ProvenPassword) -> None:
        """Give the charge of the attempt back. The password does not change before the transaction ends.

        Raises SignInRefused when it was changed after it had been checked.
        """
        await self._attempts.succeeded(session, proven.attempt)
        if not await repository.holds_password(session, proven.user.id, proven.user.password_hash):
            raise SignInRefused

    async def begin_session(
        self,
        session: ControlSession,
        user_id: UserId,
        tenant_id: TenantId,
        *,
        methods: Sequence[str],
        client: ClientInfo | None,
    ) -> Grant | MfaChallenge:
        """As ``open_session``; a sign-in that needs a second factor goes on with the challenge."""
        member = await self._admitted(session, user_id, tenant_id, methods, client)
        await self._check_password(session, member, methods)
        if await self._second_factors.is_needed(session, member, methods):
            return await self._second_factors.begin(session, member, methods)
        return await self._opened(session, member, methods, client)

    async def has_second_factor(self, session: ControlSession, user: UserId) -> bool:
        """Whether the person has one, so that every sign-in with their password needs it."""
        return await self._second_factors.has_any(session, user)

    async def _check_password(self, session: ControlSession, member: Member, methods: Sequence[str]) -> None:
        """A short password alone neither signs in nor enrols the next second factor."""
        if (
            PASSWORD in methods
            and member.user.password_is_short
            and not await self.has_second_factor(session, member.id)
        ):
            raise LongerPasswordNeeded

    async def open_session(
        self,
        session: ControlSession,
        user_id: UserId,
        tenant_id: TenantId,
        *,
        methods: Sequence[str],
        client: ClientInfo | None,
    ) -> Grant:
        """Begin a sign-in of a member in the caller's transaction: every way to sign in ends here.

        ``methods`` are how the person has proved who they are (RFC 8176, ``amr``). Raises SignInRefused for a person
        who is disabled or not a member, TenantSuspended for a member of a suspended tenant, SsoRequired for a member
        who has to sign in elsewhere, SecondFactorNeeded when the methods are not enough.
        """
        member = await self._admitted(session, user_id, tenant_id, methods, client)
        await self._check_password(session, member, methods)
        if await self._second_factors.is_needed(session, member, methods):
            raise SecondFactorNeeded
        return await self._opened(session, member, methods, client)

    async def _admitted(
        self, session: ControlSession, user: UserId, tenant: TenantId, methods: Sequence[str], client: ClientInfo | None
    ) -> Member:
        # Held: a person who is disabled or removed meanwhile gets no session that could outlive that (ID15).
        member = await members.find(session, tenant, user, hold=True)
        if member is None or member.is_disabled:
            raise SignInRefused
        if member.tenant.status == TenantStatus.SUSPENDED:
            raise TenantSuspended
        await self._check_policy(session, member, methods, _by_person(client, member.id))
        return member

    async def _opened(
        self, session: ControlSession, member: Member, methods: Sequence[str], client: ClientInfo | None
    ) -> Grant:
        opened = UserSession(
            id=SignInId(new_id()),
            user_id=member.id,
            tenant_id=member.tenant.id,
            methods=list(methods),
            user_agent="" if client is None else client.user_agent,
        )
        session.add(opened)
        await session.flush()
        # The new row holds the tenant's key: from here on, the tenant cannot begin to require a second factor without
        # ending this session. It may have done so just before.
        if not is_multi_factor(methods) and await directory.requires_mfa(session, member.tenant.id):
            raise SecondFactorNeeded
        await _record(session, "sign_in.succeeded", opened, _by_person(client, member.id))
        return await self._grant(session, opened)

    async def _matches(self, attempt: Attempt, password: str) -> bool:
        user = attempt.account.user
        stored = None if user is None else user.password_hash
        try:
            return await self._passwords.verify(password, stored, source=attempt.place, lane=attempt.lane)
        except TenantryError:  # too many wait
            await self._attempts.undo(attempt)
            raise

    async def refresh(self, secret: str, client: ClientInfo | None = None) -> Grant:
        """Rotate: the next access and refresh token; repeated within the grace period, the same ones.

        Raises CredentialInvalid, CredentialExpired, CredentialRevoked (also for reuse, which ends the sign-in), and
        TenantSuspended.
        """
        if kind_of(secret) is not SecretKind.REFRESH:
            raise CredentialInvalid
        async with self._database.control() as session:
            outcome = await self._rotate(session, secret, client)
        if not isinstance(outcome, Grant):
            raise outcome  # after the transaction: the end of the family is committed
        return outcome

    async def logout(self, secret: str, client: ClientInfo | None = None, *, everywhere: bool = False) -> None:
        """End the sign-in of this token; ``everywhere``, all of the person. Ignores unknown and ended ones."""
        if kind_of(secret) is not SecretKind.REFRESH:
            return
        async with self._database.control() as session:
            token, now = await self._find(session, secret), datetime.now(UTC)
            opened = None if token is None else await repository.find_session(session, token.family_id)
            if token is None or opened is None or opened.ended_at is not None:
                return
            if everywhere and token.expires_at > now:
                ended = await repository.end_all_sign_ins(session, token.user_id, now)
            else:
                ended = await repository.end_session(session, token.family_id, now)
            origin = (client or UNKNOWN_CLIENT).origin
            await trail.record(session, ended, origin, trail.ENDED, token.user_id, after=_shown(opened))

    async def _rotate(
        self, session: ControlSession, secret: str, client: ClientInfo | None
    ) -> Grant | type[TenantryError]:
        token = await self._find(session, secret)
        if token is None:
            return CredentialInvalid
        await repository.lock_family(session, token)
        now = datetime.now(UTC)
        opened = await repository.find_session(session, token.family_id)
        if opened is None or opened.ended_at is not None:
            return CredentialRevoked
        if token.used_at is not None:
            repeated = await self._repeated(session, token, token.used_at, now)
            if repeated is TokenReused:
                await _record(session, "sign_in.token_reused", opened, (client or UNKNOWN_CLIENT).origin)
            return repeated
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
        await repository.end_session(session, token.family_id, now)
        return TokenReused

    async def _next(self, session: ControlSession, token: RefreshToken, now: datetime) -> Grant | type[TenantryError]:
        member = await members.find(session, token.tenant_id, token.user_id, hold=True)
        if member is None or member.is_disabled:
            return CredentialRevoked
        if member.tenant.status == TenantStatus.SUSPENDED:
            return TenantSuspended
        opened = await repository.use(session, token.family_id, now)
        if opened is None:  # ended meanwhile
            return CredentialRevoked
        if member.tenant.require_mfa and not is_multi_factor(opened.methods):  # an older release has opened it
            return CredentialRevoked
        grant = await self._grant(session, opened)
        sealed = self._sealer.seal(_row(token), grant.model_dump_json().encode())
        await repository.mark_used(session, token, now, sealed)
        return grant

    async def _grant(self, session: ControlSession, opened: UserSession) -> Grant:
        secret = generate(SecretKind.REFRESH)
        token = RefreshToken(
            id=new_id(),
            family_id=opened.id,
            user_id=opened.user_id,
            tenant_id=opened.tenant_id,
            digest=self._hasher.digest(secret).value,
            expires_at=datetime.now(UTC) + self._refresh_life,
        )
        session.add(token)
        await session.flush()
        access = self._tokens.issue(opened.user_id, opened.tenant_id, opened.id, opened.methods)
        return Grant(access_token=access, expires_in=self._tokens.lifetime, refresh_token=secret)

    async def _find(self, session: ControlSession, secret: str) -> RefreshToken | None:
        token = await repository.find(session, [each.value for each in self._hasher.candidates(secret)])
        return token if token and self._hasher.matches(secret, token.digest) else None


async def _record(session: ControlSession, action: str, opened: UserSession, origin: Origin) -> None:
    """Add what happened to a session to the audit log of its tenant."""
    tenant, user = opened.tenant_id, opened.user_id
    await audit.record(session, tenant, origin, action, user, after=_shown(opened), category=Category.ACCESS)


def _shown(opened: UserSession) -> audit.State:
    return {"session": show(SESSION, opened.id), "methods": opened.methods, "user_agent": opened.user_agent}


def _by_person(client: ClientInfo | None, user: UserId) -> Origin:
    return (client or UNKNOWN_CLIENT).origin.by(Actor(ActorKind.USER, user))


def _row(token: RefreshToken) -> SealedRow:
    return SealedRow(token.tenant_id, token.id)
