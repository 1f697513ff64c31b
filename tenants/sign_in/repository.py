"""SQL of the control tables ``sign_ins``, ``refresh_tokens`` and ``sign_in_…``, and of accounts that sign in."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Uuid,
    and_,
    any_,
    bindparam,
    column,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)

from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.database.statements import Work, prepare
from tenants.directory.models import Tenant
from tenants.directory.reference import COLUMNS, reference_of
from tenants.identifiers import SignInId, TenantId, UserId
from tenants.members.models import Membership
from tenants.principal import TenantRef
from tenants.sign_in.access_tokens import AccessClaims
from tenants.sign_in.models import RefreshToken, UserSession
from tenants.users.models import User

Ended = frozenset[TenantId]  # the tenants in which a sign-in has been ended


async def find(session: ControlSession, digests: Sequence[bytes]) -> RefreshToken | None:
    """The token with one of these digests."""
    return await session.scalar(select(RefreshToken).where(RefreshToken.digest.in_(digests)))


async def lock_family(session: ControlSession, token: RefreshToken) -> None:
    """Serialise uses of this family's tokens, then read the token again."""
    number = int.from_bytes(token.family_id.bytes[8:], signed=True)  # the random half of the UUIDv7
    await session.execute(select(func.pg_advisory_xact_lock(literal(number, BigInteger))))
    await session.refresh(token)


async def mark_used(session: ControlSession, token: RefreshToken, when: datetime, sealed: bytes) -> None:
    """Store the sealed response with this token, and remove it from older tokens of the family."""
    older = update(RefreshToken).where(
        RefreshToken.family_id == token.family_id, RefreshToken.successor_sealed.is_not(None)
    )
    await session.execute(older.values(successor_sealed=None))
    token.used_at, token.successor_sealed = when, sealed
    await session.flush()


async def use(session: ControlSession, sign_in: SignInId, when: datetime) -> UserSession | None:
    """Note that the sign-in was used; None when it has ended. It does not end before the transaction does."""
    used = update(UserSession).where(UserSession.id == sign_in, UserSession.ended_at.is_(None))
    return await session.scalar(used.values(last_used_at=when).returning(UserSession))


async def find_session(session: ControlSession, sign_in: SignInId) -> UserSession | None:
    """One sign-in, ended or not."""
    return await session.get(UserSession, sign_in)


async def is_open(session: ControlSession, sign_in: SignInId) -> bool:
    """Whether this sign-in has not ended."""
    query = select(UserSession.id).where(UserSession.id == sign_in, UserSession.ended_at.is_(None))
    return await session.scalar(query) is not None


@dataclass(frozen=True, slots=True)
class OwnSession:
    """A sign-in that has not ended, and the slug of its tenant."""

    row: UserSession
    tenant: str

    @property
    def id(self) -> SignInId:
        """By which pages are ordered."""
        return self.row.id


async def sessions_of(
    session: ControlSession, user: UserId, tenant: TenantId | None, keyset: Keyset
) -> list[OwnSession]:
    """A page of the sign-ins of this person, to this tenant or any, that can still be refreshed."""
    usable = exists().where(
        RefreshToken.family_id == UserSession.id, RefreshToken.used_at.is_(None), RefreshToken.expires_at > func.now()
    )
    query = select(UserSession, Tenant.slug).join(Tenant, Tenant.id == UserSession.tenant_id)
    query = query.where(*_own(user, tenant), UserSession.ended_at.is_(None), usable)
    return [OwnSession(*row) for row in await session.execute(keyset.of(query, UserSession.id))]


async def end_own_session(
    session: ControlSession, user: UserId, tenant: TenantId | None, sign_in: SignInId, when: datetime
) -> Ended:
    """As ``end_session``, if it is this person's, and of this tenant unless that is None."""
    return await _end(session, UserSession.id == sign_in, *_own(user, tenant), when=when)


def _own(user: UserId, tenant: TenantId | None) -> list[ColumnElement[bool]]:
    mine = [UserSession.user_id == user]
    return mine if tenant is None else [*mine, UserSession.tenant_id == tenant]


@dataclass(frozen=True, slots=True)
class OwnTenant:
    """A tenant, and the roles that the person has there."""

    row: Tenant
    roles: Sequence[str]

    @property
    def id(self) -> TenantId:
        """By which pages are ordered."""
        return self.row.id


async def tenants_of(session: ControlSession, user: UserId, tenant: TenantId | None, keyset: Keyset) -> list[OwnTenant]:
    """A page of the tenants that this person can sign in to; only this one unless that is None."""
    query = select(Tenant, Membership.roles + Membership.group_roles).join(
        Membership, Membership.tenant_id == Tenant.id
    )
    query = query.where(Membership.user_id == user, Membership.disabled_at.is_(None))
    query = query if tenant is None else query.where(Tenant.id == tenant)
    return [
        OwnTenant(row, list(dict.fromkeys(roles))) for row, roles in await session.execute(keyset.of(query, Tenant.id))
    ]


async def find_own_tenant(session: ControlSession, user: UserId, slug: str) -> TenantId | None:
    """The tenant with this slug, if the person is a member of it, and not disabled there."""
    query = select(Tenant.id).join(Membership, Membership.tenant_id == Tenant.id)
    query = query.where(Tenant.slug == slug, Membership.user_id == user, Membership.disabled_at.is_(None))
    return await session.scalar(query)


async def end_session(session: ControlSession, sign_in: SignInId, when: datetime) -> Ended:
    """End a sign-in. A trigger notifies every worker, which drops its access tokens. Empty when it has ended before."""
    return await _end(session, UserSession.id == sign_in, when=when)


async def end_sign_ins_of(session: ControlSession, tenant: TenantId, users: Collection[UserId], when: datetime) -> None:
    """End every sign-in of these people in this tenant, as ``end_session`` does."""
    # Nothing is fetched: they can be all members of a large group.
    listed, unsynchronised = bindparam("users", list(users), type_=ARRAY(Uuid)), {"synchronize_session": False}
    ended = update(UserSession).where(UserSession.tenant_id == tenant, UserSession.user_id == any_(listed))
    ended = ended.where(UserSession.ended_at.is_(None)).values(ended_at=when)
    await session.execute(ended.execution_options(**unsynchronised))
    sealed = update(RefreshToken).where(RefreshToken.tenant_id == tenant, RefreshToken.user_id == any_(listed))
    sealed = sealed.where(RefreshToken.successor_sealed.is_not(None)).values(successor_sealed=None)
    await session.execute(sealed.execution_options(**unsynchronised))


async def end_all_sign_ins(
    session: ControlSession, user: UserId, when: datetime, *, keep: SignInId | None = None
) -> Ended:
    """End every sign-in of this person but ``keep``. None begins before the transaction ends."""
    # Who signs in holds the same row: a sign-in that is not complete by now is refused, or sees this change.
    await session.execute(select(User.id).where(User.id == user).with_for_update(key_share=True))
    others = [] if keep is None else [UserSession.id != keep]
    return await _end(session, UserSession.user_id == user, *others, when=when)


async def _end(session: ControlSession, *conditions: ColumnElement[bool], when: datetime) -> Ended:
    """The sign-ins first, then their tokens: the order in which a refresh locks them."""
    ending = update(UserSession).where(UserSession.ended_at.is_(None), *conditions).values(ended_at=when)
    ended = (await session.execute(ending.returning(UserSession.id, UserSession.tenant_id))).all()
    if ended:
        sealed = update(RefreshToken).where(RefreshToken.family_id.in_([family for family, _ in ended]))
        await session.execute(sealed.where(RefreshToken.successor_sealed.is_not(None)).values(successor_sealed=None))
    return frozenset(tenant for _, tenant in ended)


async def tenants_of_member(session: ControlSession, user: UserId) -> Ended:
    """The tenants that this person is a member of."""
    return frozenset(await session.scalars(select(Membership.tenant_id).where(Membership.user_id == user)))


async def holds_password(session: ControlSession, user: UserId, password_hash: str | None) -> bool:
    """Whether this is still the hash of the person's password. It does not change before the transaction ends."""
    query = select(User.password_hash).where(User.id == user).with_for_update(key_share=True)
    return await session.scalar(query) == password_hash


_requested = (
    func.unnest(*(bindparam(name, type_=ARRAY(Uuid)) for name in ("tenants", "users", "families")))
    .table_valued(*(column(name, Uuid) for name in ("tenant_id", "user_id", "family_id")))
    .render_derived()
)
_ended = exists().where(UserSession.id == _requested.c.family_id, UserSession.ended_at.is_not(None))
_roles = Membership.roles + Membership.group_roles
_is_disabled = or_(User.disabled_at.is_not(None), Membership.disabled_at.is_not(None))
_HOLDERS = prepare(
    select(_requested.c.user_id, _requested.c.family_id, _roles, _is_disabled, _ended, *COLUMNS)
    .join(Membership, and_(Membership.tenant_id == _requested.c.tenant_id, Membership.user_id == _requested.c.user_id))
    .join(User, User.id == Membership.user_id)
    .join(Tenant, Tenant.id == Membership.tenant_id)
)


@dataclass(frozen=True, slots=True)
class Holder:
    """The current state of the person an access token was issued to."""

    roles: tuple[str, ...]
    is_disabled: bool  # everywhere, or in this tenant
    has_signed_out: bool  # the sign-in that issued the token has ended
    tenant: TenantRef


async def holders(reads: Work, claims: Sequence[AccessClaims]) -> dict[AccessClaims, Holder]:
    """The holders of these tokens who are still members of the tokens' tenants."""
    parameters = {
        "tenants": [each.tenant_id for each in claims],
        "users": [each.user_id for each in claims],
        "families": [each.session_id for each in claims],
    }
    found = {}
    for user, family, roles, is_disabled, ended, *tenant in await reads.rows(_HOLDERS, parameters):
        reference = reference_of(*tenant)
        found[reference.id, user, family] = Holder(tuple(dict.fromkeys(roles)), is_disabled, ended, reference)
    named = {each: (each.tenant_id, each.user_id, each.session_id) for each in claims}
    return {each: found[name] for each, name in named.items() if name in found}


async def delete_old_sessions(session: ControlSession, ended: timedelta, unused: timedelta) -> None:
    """Delete sign-ins that ended, or were used last, so long ago; with their refresh tokens."""
    is_old = or_(UserSession.ended_at < func.now() - ended, UserSession.last_used_at < func.now() - unused)
    await session.execute(delete(UserSession).where(is_old))
