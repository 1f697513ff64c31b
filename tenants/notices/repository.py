"""SQL of notices: which keys are due, and the rows that say that a notice was given.

Keys are found by the tenants of a page, over ``ix_api_keys_tenant_id``: each statement is bounded by the keys of these
tenants, and no use or change of a key has a further index to keep.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, null, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from tenants.api_keys.lineage import OwnerKind
from tenants.api_keys.models import ApiKey, ApiKeyUse
from tenants.database.sessions import ControlSession
from tenants.directory.models import Tenant
from tenants.identifiers import ApiKeyId, TenantId, UserId
from tenants.notices.models import KeyNotice
from tenants.principal import TenantStatus

EARLY, LATE = 7, 1  # days before a key expires
UNUSED = timedelta(days=90)
_EXPIRY, _UNUSED = "expiry", "unused"
_OfExpiry, _OfUnused = aliased(KeyNotice), aliased(KeyNotice)
# Who owns the key; of a key that a key has made, the person behind both.
_PERSON = case(
    (ApiKey.owned_by == OwnerKind.TENANT.value, null()),
    else_=func.coalesce(ApiKey.owner_user_id, ApiKey.created_by_user_id),
)
_COLUMNS = ["key_id", "kind", "expires_at", "days", "noticed_at"]


@dataclass(frozen=True, slots=True)
class DueKey:
    """A key that a notice is about. ``last_used_at`` is None for a key that was never used."""

    id: ApiKeyId
    name: str
    prefix: str
    last4: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    person: UserId | None  # whose key it is


async def page_of_tenants(session: ControlSession, after: TenantId | None, count: int) -> Sequence[TenantId]:
    """Active tenants that have not turned notices off, in the order of their ids."""
    query = select(Tenant.id).where(Tenant.status == TenantStatus.ACTIVE.value, Tenant.key_notices)
    query = query if after is None else query.where(Tenant.id > after)
    return (await session.scalars(query.order_by(Tenant.id).limit(count))).all()


async def with_due_keys(session: ControlSession, tenants: Sequence[TenantId], now: datetime) -> Sequence[TenantId]:
    """Those of these tenants that have a key of which a notice is due."""
    query = _usable(select(ApiKey.tenant_id).distinct(), now).where(ApiKey.tenant_id.in_(tenants))
    query = query.where(or_(_expiry_is_due(now), _unused_is_due(now)))
    return (await session.scalars(query.order_by(ApiKey.tenant_id))).all()


async def claim_expiring(session: ControlSession, tenant: TenantId, now: datetime, most: int) -> Sequence[DueKey]:
    """Keys that expire soon, the soonest first, marked as noticed. Never one that another transaction has marked."""
    due = _usable(select(ApiKey.id, literal(_EXPIRY), ApiKey.expires_at, _days(now), literal(now)), now)
    due = due.where(ApiKey.tenant_id == tenant, _expiry_is_due(now)).order_by(ApiKey.expires_at, ApiKey.id).limit(most)
    added = insert(KeyNotice).from_select(_COLUMNS, due)
    is_news = KeyNotice.expires_at.is_distinct_from(added.excluded.expires_at), KeyNotice.days > added.excluded.days
    claimed = added.on_conflict_do_update(
        index_elements=[KeyNotice.key_id, KeyNotice.kind],
        set_={name: added.excluded[name] for name in ("expires_at", "days", "noticed_at")},
        where=or_(*is_news),
    )
    return await _rows(session, (await session.scalars(claimed.returning(KeyNotice.key_id))).all())


async def claim_unused(session: ControlSession, tenant: TenantId, now: datetime, most: int) -> Sequence[DueKey]:
    """Keys without use for ``UNUSED``, the oldest first, marked as noticed, as above."""
    due = _usable(select(ApiKey.id, literal(_UNUSED), null(), null(), literal(now)), now)
    due = due.where(ApiKey.tenant_id == tenant, _unused_is_due(now)).order_by(ApiKey.id).limit(most)
    added = insert(KeyNotice).from_select(_COLUMNS, due)
    claimed = added.on_conflict_do_update(
        index_elements=[KeyNotice.key_id, KeyNotice.kind],
        set_={"noticed_at": added.excluded.noticed_at},
        where=KeyNotice.noticed_at <= now - UNUSED,
    )
    return await _rows(session, (await session.scalars(claimed.returning(KeyNotice.key_id))).all())


def _usable(query: Select[*tuple[Any, ...]], now: datetime) -> Select[*tuple[Any, ...]]:
    """Only keys that can be used, joined with their use and their notices."""
    return (
        query.select_from(ApiKey)
        .outerjoin(ApiKeyUse, ApiKeyUse.key_id == ApiKey.id)
        .outerjoin(_OfExpiry, and_(_OfExpiry.key_id == ApiKey.id, _OfExpiry.kind == _EXPIRY))
        .outerjoin(_OfUnused, and_(_OfUnused.key_id == ApiKey.id, _OfUnused.kind == _UNUSED))
        .where(ApiKey.revoked_at.is_(None), ApiKey.disabled_at.is_(None))
        .where(or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now))
    )


def _days(now: datetime) -> ColumnElement[int]:
    return case((ApiKey.expires_at <= now + timedelta(days=LATE), LATE), else_=EARLY)


def _expiry_is_due(now: datetime) -> ColumnElement[bool]:
    """The end is near, it was set earlier than the notice would come, and this notice was not given."""
    since, days = func.coalesce(ApiKey.rotated_at, ApiKey.created_at), _days(now)
    is_news = (
        _OfExpiry.key_id.is_(None),
        _OfExpiry.expires_at.is_distinct_from(ApiKey.expires_at),
        _OfExpiry.days > days,
    )
    return and_(
        ApiKey.expires_at <= now + timedelta(days=EARLY),
        since <= ApiKey.expires_at - func.make_interval(0, 0, 0, days),
        or_(*is_news),
    )


def _unused_is_due(now: datetime) -> ColumnElement[bool]:
    since = func.coalesce(ApiKeyUse.last_used_at, ApiKey.created_at)
    return and_(since <= now - UNUSED, or_(_OfUnused.key_id.is_(None), _OfUnused.noticed_at <= now - UNUSED))


async def _rows(session: ControlSession, keys: Sequence[ApiKeyId]) -> Sequence[DueKey]:
    if not keys:
        return ()
    columns = (ApiKey.id, ApiKey.name, ApiKey.prefix, ApiKey.last4, ApiKey.created_at, ApiKey.expires_at)
    query = (
        select(*columns, ApiKeyUse.last_used_at, _PERSON)
        .outerjoin(ApiKeyUse, ApiKeyUse.key_id == ApiKey.id)
        .where(ApiKey.id.in_(keys))
        .order_by(ApiKey.expires_at, ApiKey.id)
    )
    return [DueKey(*row) for row in await session.execute(query)]
