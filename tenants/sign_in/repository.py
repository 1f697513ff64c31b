"""SQL of the control table ``refresh_tokens``, and of accounts that sign in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Exists, Uuid, and_, bindparam, column, exists, func, literal, select, update

from tenants.database.sessions import ControlSession
from tenants.database.statements import Work, prepare
from tenants.directory.models import Tenant
from tenants.directory.reference import COLUMNS, reference_of
from tenants.members.models import Membership
from tenants.principal import TenantRef
from tenants.sign_in.access_tokens import AccessClaims
from tenants.sign_in.models import RefreshToken
from tenants.users.models import User


@dataclass(frozen=True, slots=True)
class Account:
    """The account of a sign-in attempt."""

    user: User
    tenant: Tenant | None  # None when the person is not a member of the requested tenant


async def find_account(session: ControlSession, email: str, slug: str) -> Account | None:
    """The person with this address, and the tenant with this slug if they are a member. One query in every case."""
    query = (
        select(User, Tenant)
        .outerjoin(Tenant, and_(Tenant.slug == slug, _belongs_to()))
        .where(func.lower(User.email) == func.lower(email))
    )
    row = (await session.execute(query)).first()
    return None if row is None else Account(row[0], row[1])


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


async def end_family(session: ControlSession, family: UUID, when: datetime) -> None:
    """End a sign-in: all its refresh tokens. A trigger notifies every worker, which drops its access tokens."""
    ended = update(RefreshToken).where(RefreshToken.family_id == family, RefreshToken.family_ended_at.is_(None))
    await session.execute(ended.values(family_ended_at=when, successor_sealed=None))


_requested = (
    func.unnest(*(bindparam(name, type_=ARRAY(Uuid)) for name in ("tenants", "users", "families")))
    .table_valued(*(column(name, Uuid) for name in ("tenant_id", "user_id", "family_id")))
    .render_derived()
)
_ended = exists().where(RefreshToken.family_id == _requested.c.family_id, RefreshToken.family_ended_at.is_not(None))
_HOLDERS = prepare(
    select(_requested.c.user_id, _requested.c.family_id, Membership.roles, User.disabled_at, _ended, *COLUMNS)
    .join(Membership, and_(Membership.tenant_id == _requested.c.tenant_id, Membership.user_id == _requested.c.user_id))
    .join(User, User.id == Membership.user_id)
    .join(Tenant, Tenant.id == Membership.tenant_id)
)


@dataclass(frozen=True, slots=True)
class Holder:
    """The current state of the person an access token was issued to."""

    roles: tuple[str, ...]
    is_disabled: bool
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
    for user, family, roles, disabled_at, ended, *tenant in await reads.rows(_HOLDERS, parameters):
        reference = reference_of(*tenant)
        found[reference.id, user, family] = Holder(tuple(roles), disabled_at is not None, ended, reference)
    named = {each: (each.tenant_id, each.user_id, each.session_id) for each in claims}
    return {each: found[name] for each, name in named.items() if name in found}


def _belongs_to() -> Exists:
    return exists().where(Membership.tenant_id == Tenant.id, Membership.user_id == User.id)
