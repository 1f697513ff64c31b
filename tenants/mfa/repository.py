"""SQL of the control tables of second factors, and of the tenants that require one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ARRAY, Text, all_, cast, delete, exists, func, literal, not_, select, update

from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.directory.models import Tenant
from tenants.identifiers import PasskeyId, SignInId, TenantId, UserId
from tenants.members.models import Membership
from tenants.mfa.models import Challenge, Passkey, RecoveryCode, TotpFactor
from tenants.sign_in.models import RefreshToken, UserSession
from tenants.sign_in_limits.models import SignInPlace
from tenants.users.models import User


@dataclass(frozen=True, slots=True)
class Factors:
    """Which second factors a person has."""

    totp: bool
    passkeys: int
    recovery_codes: int  # that were not used

    @property
    def count(self) -> int:
        """How many; recovery codes replace one and are none."""
        return self.totp + self.passkeys


async def lock_user(session: ControlSession, user: UserId) -> User | None:
    """The person, whose factors nobody else changes before the transaction ends, and who does not sign in meanwhile.

    Every transaction locks the person first, then factors and challenges: no two wait for each other.
    """
    return await session.scalar(select(User).where(User.id == user).with_for_update(key_share=True))


async def factors_of(session: ControlSession, user: UserId) -> Factors:
    """What the person has enrolled and confirmed."""
    totp = exists().where(TotpFactor.user_id == user, TotpFactor.confirmed_at.is_not(None))
    passkeys = select(func.count()).where(Passkey.user_id == user).scalar_subquery()
    codes = select(func.count()).where(RecoveryCode.user_id == user).scalar_subquery()
    return Factors(*(await session.execute(select(totp, passkeys, codes))).one())


async def is_required_of(session: ControlSession, user: UserId) -> bool:
    """Whether any tenant of the person requires a second factor."""
    query = select(literal(1)).select_from(Membership).join(Tenant, Tenant.id == Membership.tenant_id)
    return await session.scalar(query.where(Membership.user_id == user, Tenant.require_mfa).limit(1)) is not None


async def tenants_of(session: ControlSession, user: UserId, slug: str | None = None) -> Sequence[TenantId]:
    """Tenants that the person is a member of, or the one with this slug; at most two, which tell one from several."""
    query = select(Tenant.id).join(Membership, Membership.tenant_id == Tenant.id).where(Membership.user_id == user)
    return (await session.scalars((query if slug is None else query.where(Tenant.slug == slug)).limit(2))).all()


async def totp(session: ControlSession, user: UserId, *, confirmed: bool) -> TotpFactor | None:
    """The person's authenticator app, or the one that waits for its first code. Its uses are serialised."""
    is_confirmed = TotpFactor.confirmed_at.is_not(None) if confirmed else TotpFactor.confirmed_at.is_(None)
    return await session.scalar(select(TotpFactor).where(TotpFactor.user_id == user, is_confirmed).with_for_update())


async def remove_totp(session: ControlSession, user: UserId, *, confirmed: bool) -> bool:
    """Delete it. False when there is none."""
    is_confirmed = TotpFactor.confirmed_at.is_not(None) if confirmed else TotpFactor.confirmed_at.is_(None)
    removed = delete(TotpFactor).where(TotpFactor.user_id == user, is_confirmed).returning(TotpFactor.id)
    return await session.scalar(removed) is not None


async def recovery_code(session: ControlSession, user: UserId, digests: Sequence[bytes]) -> RecoveryCode | None:
    """The unused code with one of these digests. Uses of a code are serialised: the second one finds none."""
    query = select(RecoveryCode).where(RecoveryCode.user_id == user, RecoveryCode.digest.in_(digests))
    return await session.scalar(query.with_for_update())


async def remove_recovery_codes(session: ControlSession, user: UserId) -> None:
    """Delete the unused codes."""
    await session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user))


async def owner_of(session: ControlSession, credential: bytes) -> UserId | None:
    """The person whose passkey has this credential id."""
    return await session.scalar(select(Passkey.user_id).where(Passkey.credential_id == credential))


async def passkey_by_credential(session: ControlSession, user: UserId, credential: bytes) -> Passkey | None:
    """The person's passkey with this credential id. Its uses are serialised, so that its counter only grows."""
    query = select(Passkey).where(Passkey.credential_id == credential, Passkey.user_id == user)
    return await session.scalar(query.with_for_update())


async def passkey(session: ControlSession, user: UserId, identifier: PasskeyId) -> Passkey | None:
    """One passkey of this person, which does not change before the transaction ends."""
    query = select(Passkey).where(Passkey.id == identifier, Passkey.user_id == user)
    return await session.scalar(query.with_for_update())


async def passkeys(session: ControlSession, user: UserId) -> Sequence[Passkey]:
    """All passkeys of this person, the oldest first."""
    return (await session.scalars(select(Passkey).where(Passkey.user_id == user).order_by(Passkey.id))).all()


async def page(session: ControlSession, user: UserId, keyset: Keyset) -> Sequence[Passkey]:
    """A page of this person's passkeys by creation time, which is the order of their ids."""
    return (await session.scalars(keyset.of(select(Passkey).where(Passkey.user_id == user), Passkey.id))).all()


async def remove_pending(session: ControlSession, user: UserId) -> None:
    """Delete what the person has begun: an app that waits for its first code, sign-ins, challenges of passkeys."""
    await remove_totp(session, user, confirmed=False)
    await session.execute(delete(Challenge).where(Challenge.user_id == user))


async def remove_all(session: ControlSession, user: UserId) -> None:
    """Delete every factor and recovery code of the person."""
    for model in (TotpFactor, Passkey, RecoveryCode):
        await session.execute(delete(model).where(model.user_id == user))


async def challenge(session: ControlSession, purpose: str, digests: Sequence[bytes], *, hold: bool) -> Challenge | None:
    """The challenge with one of these digests, unless it has expired; with ``hold``, its uses are serialised."""
    query = select(Challenge).where(Challenge.purpose == purpose, Challenge.digest.in_(digests))
    query = query.where(Challenge.expires_at > func.now())
    return await session.scalar(query.with_for_update() if hold else query)


async def remove_challenge(session: ControlSession, identifier: UUID) -> None:
    """Delete it: it was used."""
    await session.execute(delete(Challenge).where(Challenge.id == identifier))


async def remove_expired(session: ControlSession, pending: timedelta) -> None:
    """Delete expired challenges, and authenticator apps that have waited for their first code for longer."""
    await session.execute(delete(Challenge).where(Challenge.expires_at <= func.now()))
    old = TotpFactor.created_at <= func.now() - pending
    await session.execute(delete(TotpFactor).where(TotpFactor.confirmed_at.is_(None), old))


async def is_place_of(session: ControlSession, user: UserId, place: bytes) -> bool:
    """Whether the person has signed in from this source lately."""
    query = select(exists().where(SignInPlace.user_id == user, SignInPlace.place == place))
    return bool(await session.scalar(query))


async def add_method(session: ControlSession, sign_in: SignInId, method: str) -> None:
    """Note that the person has proved who they are in one more way. Access tokens have it from the next refresh on."""
    used = update(UserSession).where(UserSession.id == sign_in, literal(method) != all_(UserSession.methods))
    await session.execute(used.values(methods=func.array_append(UserSession.methods, method)))


async def end_sign_ins_without(
    session: ControlSession, tenant: TenantId, methods: Iterable[str], when: datetime
) -> None:
    """End every sign-in to this tenant that used none of these methods; a trigger notifies every worker."""
    used = UserSession.methods.bool_op("&&")(cast(list(methods), ARRAY(Text)))
    weak = update(UserSession).where(UserSession.tenant_id == tenant, UserSession.ended_at.is_(None), not_(used))
    families = (await session.scalars(weak.values(ended_at=when).returning(UserSession.id))).all()
    # The sign-ins first, then their tokens: the order in which a refresh locks them.
    await session.execute(
        update(RefreshToken).where(RefreshToken.family_id.in_(families)).values(successor_sealed=None)
    )
