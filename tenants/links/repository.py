"""SQL of the control table ``one_time_links``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, column, delete, exists, func, or_, select, table, text
from sqlalchemy.dialects.postgresql import insert

from tenants.database.names import CONTROL_SCHEMA
from tenants.database.sessions import ControlSession
from tenants.identifiers import TenantId, UserId, new_id
from tenants.links.models import OneTimeLink

# Two columns of a feature above this one.
_users = table("users", column("id"), column("email"), schema=CONTROL_SCHEMA)


@dataclass(frozen=True, slots=True)
class Link:
    """What a link was bound to when it was issued."""

    purpose: str
    email: str
    user_id: UserId | None
    tenant_id: TenantId | None
    expires_at: datetime


_LINK = (
    OneTimeLink.purpose,
    OneTimeLink.email,
    OneTimeLink.user_id,
    OneTimeLink.tenant_id,
    OneTimeLink.expires_at,
)


async def replace(session: ControlSession, values: dict[str, object], life: timedelta) -> None:
    """Insert the link, or put it in the place of the one of the same purpose, address and tenant."""
    added = insert(OneTimeLink).values(id=new_id(), created_at=func.now(), expires_at=func.now() + life, **values)
    changed = {name: added.excluded[name] for name in ("id", "digest", "email", "user_id", "created_at", "expires_at")}
    unique: list[Any] = [OneTimeLink.purpose, text("lower(email)"), OneTimeLink.tenant_id]
    await session.execute(added.on_conflict_do_update(index_elements=unique, set_=changed))


async def find(
    session: ControlSession, purpose: str, digests: Sequence[bytes], *, with_expired: bool
) -> tuple[Link, bytes] | None:
    """The link with one of these digests, and its digest."""
    query = select(*_LINK, OneTimeLink.digest).where(*_usable(purpose, digests, with_expired=with_expired))
    row = (await session.execute(query)).first()
    return None if row is None else (Link(*row[:-1]), row[-1])


async def take(
    session: ControlSession, purpose: str, digests: Sequence[bytes], *, with_expired: bool
) -> tuple[Link, bytes] | None:
    """Delete the link and return it with its digest. Of concurrent calls one gets it, if its transaction commits."""
    taken = delete(OneTimeLink).where(*_usable(purpose, digests, with_expired=with_expired))
    row = (await session.execute(taken.returning(*_LINK, OneTimeLink.digest))).first()
    return None if row is None else (Link(*row[:-1]), row[-1])


async def end(session: ControlSession, purpose: str, email: str, tenant: TenantId | None) -> None:
    """Delete the link of this purpose, address and tenant."""
    bound = OneTimeLink.tenant_id.is_not_distinct_from(tenant)
    same = func.lower(OneTimeLink.email) == func.lower(email)
    await session.execute(delete(OneTimeLink).where(OneTimeLink.purpose == purpose, same, bound))


async def delete_expired(session: ControlSession, age: timedelta) -> None:
    """Delete links that expired so long ago."""
    await session.execute(delete(OneTimeLink).where(OneTimeLink.expires_at < func.now() - age))


def _usable(purpose: str, digests: Sequence[bytes], *, with_expired: bool) -> list[ColumnElement[bool]]:
    has_address = and_(_users.c.id == OneTimeLink.user_id, func.lower(_users.c.email) == func.lower(OneTimeLink.email))
    conditions: list[ColumnElement[bool]] = [
        OneTimeLink.purpose == purpose,
        OneTimeLink.digest.in_(digests),
        # A person whose address has changed is not reached by links to the old one.
        or_(OneTimeLink.user_id.is_(None), exists().where(has_address)),
    ]
    return conditions if with_expired else [*conditions, OneTimeLink.expires_at > func.now()]
