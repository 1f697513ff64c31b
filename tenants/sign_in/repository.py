"""SQL of the control table ``refresh_tokens``, and of who may sign in."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Exists, and_, exists, func, literal, select, update

from tenants.database.sessions import ControlSession
from tenants.directory.models import Tenant
from tenants.members.models import Membership
from tenants.sign_in.models import RefreshToken
from tenants.users.models import User


@dataclass(frozen=True, slots=True)
class Account:
    """Who signs in, as far as they are known."""

    user: User
    tenant: Tenant | None  # None where they are not a member of the tenant that they named


async def find_account(session: ControlSession, email: str, slug: str) -> Account | None:
    """The person with this address, and the tenant of this slug if they belong to it. One query, known or not."""
    query = (
        select(User, Tenant)
        .outerjoin(Tenant, and_(Tenant.slug == slug, _belongs_to()))
        .where(func.lower(User.email) == func.lower(email))
    )
    row = (await session.execute(query)).first()
    return None if row is None else Account(row[0], row[1])


async def find(session: ControlSession, digests: Sequence[bytes]) -> RefreshToken | None:
    """The token that is kept under one of these digests."""
    return await session.scalar(select(RefreshToken).where(RefreshToken.digest.in_(digests)))


async def lock_family(session: ControlSession, token: RefreshToken) -> None:
    """Wait for whoever else uses a token of this family, then read the token as it is now."""
    number = int.from_bytes(token.family_id.bytes[8:], signed=True)  # the random half of a UUIDv7
    await session.execute(select(func.pg_advisory_xact_lock(literal(number, BigInteger))))
    await session.refresh(token)


async def mark_used(session: ControlSession, token: RefreshToken, when: datetime, sealed: bytes) -> None:
    """Keep the sealed answer with the token that it was given for, and with no older one of its family."""
    older = update(RefreshToken).where(
        RefreshToken.family_id == token.family_id, RefreshToken.successor_sealed.is_not(None)
    )
    await session.execute(older.values(successor_sealed=None))
    token.used_at, token.successor_sealed = when, sealed
    await session.flush()


async def end_family(session: ControlSession, family: UUID, when: datetime) -> None:
    """End a sign-in: every token that came of it. The table tells all workers, for its access tokens' sake."""
    ended = update(RefreshToken).where(RefreshToken.family_id == family, RefreshToken.family_ended_at.is_(None))
    await session.execute(ended.values(family_ended_at=when, successor_sealed=None))


async def ended(session: ControlSession, families: Collection[UUID]) -> set[UUID]:
    """Which of these sign-ins were ended."""
    query = select(RefreshToken.family_id).where(
        RefreshToken.family_id.in_(families), RefreshToken.family_ended_at.is_not(None)
    )
    return set(await session.scalars(query))


def _belongs_to() -> Exists:
    return exists().where(Membership.tenant_id == Tenant.id, Membership.user_id == User.id)
