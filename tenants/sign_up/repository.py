"""SQL of the control table ``sign_ups``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert

from tenants.database.sessions import ControlSession
from tenants.directory.models import Tenant
from tenants.identifiers import new_id
from tenants.sign_up.models import PendingSignUp

_LATEST = 5  # sign-ups of one address that can be confirmed


@dataclass(frozen=True, slots=True)
class SlugUse:
    """Who has a slug: a tenant, or a sign-up that holds it."""

    has_tenant: bool
    holder: PendingSignUp | None


async def use_of(session: ControlSession, slug: str) -> SlugUse:
    """Who has this slug."""
    holder = select(PendingSignUp).where(PendingSignUp.slug == slug, PendingSignUp.expires_at > func.now())
    has_tenant = await session.scalar(select(exists().where(Tenant.slug == slug)))
    return SlugUse(bool(has_tenant), await session.scalar(holder))


async def add(session: ControlSession, values: dict[str, str], life: timedelta) -> UUID | None:
    """Insert a sign-up that holds its slug, and return its id. None when another one holds it."""
    added = insert(PendingSignUp).values(id=new_id(), created_at=func.now(), expires_at=func.now() + life, **values)
    names = ("id", "created_at", "expires_at", *(name for name in values if name != "slug"))
    held = added.on_conflict_do_update(
        index_elements=[PendingSignUp.slug],
        set_={name: added.excluded[name] for name in names},
        where=PendingSignUp.expires_at <= func.now(),
    )
    return await session.scalar(held.returning(PendingSignUp.id))


async def find(session: ControlSession, sign_up: UUID) -> PendingSignUp | None:
    """One sign-up that has not expired."""
    query = select(PendingSignUp).where(PendingSignUp.id == sign_up, PendingSignUp.expires_at > func.now())
    return await session.scalar(query)


async def latest_of(session: ControlSession, email: str) -> Sequence[PendingSignUp]:
    """The latest sign-ups of this address that have not expired, the newest first."""
    mine = (func.lower(PendingSignUp.email) == func.lower(email), PendingSignUp.expires_at > func.now())
    query = select(PendingSignUp).where(*mine).order_by(PendingSignUp.created_at.desc()).limit(_LATEST)
    return (await session.scalars(query)).all()


async def take(session: ControlSession, sign_up: PendingSignUp) -> bool:
    """Delete all sign-ups of the address. False when this one is gone, or has been replaced."""
    mine = func.lower(PendingSignUp.email) == func.lower(sign_up.email)
    taken = (await session.scalars(delete(PendingSignUp).where(mine).returning(PendingSignUp.id))).all()
    return sign_up.id in taken


async def delete_expired(session: ControlSession) -> None:
    """Delete sign-ups that nobody has confirmed in time."""
    await session.execute(delete(PendingSignUp).where(PendingSignUp.expires_at <= func.now()))
