"""SQL that follows the columns of lineage in the control table ``api_keys``.

Rows are locked in the order of their ids, so that two such changes cannot deadlock.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import orjson
from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    Uuid,
    and_,
    any_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    text,
    true,
    union,
    union_all,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute

from tenants.api_keys.filters import ListedKey
from tenants.api_keys.models import ApiKey, ApiKeyUse
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.identifiers import ApiKeyId, TenantId, UserId

KeyCondition = ColumnElement[bool]  # on rows of keys
KeyColumn = InstrumentedAttribute[ApiKeyId | None]

# What a key made: the keys that it created or rotated, those that it owns, and the keys that have replaced it.
MADE: Sequence[KeyColumn] = (ApiKey.owner_key_id, ApiKey.created_by_key_id, ApiKey.rotated_from_id)
OWNED: Sequence[KeyColumn] = (ApiKey.owner_key_id,)

_BOUNDS = (
    *("id", "revoked_at", "owned_by", "owner_user_id", "owner_key_id", "owned_since"),
    *("scopes", "allowed_cidrs", "expires_at"),
)
# One statement for many rows: a pipeline of single ones cannot be cancelled cleanly.
_SAVE = text("""
    UPDATE tenantry.api_keys AS old SET revoked_at = new.revoked_at, owned_by = new.owned_by,
        owner_user_id = new.owner_user_id, owner_key_id = new.owner_key_id, owned_since = new.owned_since,
        scopes = new.scopes, allowed_cidrs = new.allowed_cidrs, expires_at = new.expires_at
    FROM jsonb_to_recordset(CAST(CAST(:rows AS text) AS jsonb)) AS new (id uuid, revoked_at timestamptz, owned_by text,
        owner_user_id uuid, owner_key_id uuid, owned_since timestamptz, scopes text[],
        allowed_cidrs text[], expires_at timestamptz)
    WHERE old.id = new.id
""")


def made_from(columns: Sequence[KeyColumn], keys: Collection[ApiKeyId]) -> Sequence[KeyCondition]:
    """The conditions of keys that name one of these keys, by each column: an index has it."""
    return [each == any_(bindparam("keys", list(keys), type_=ARRAY(Uuid), unique=True)) for each in columns]


async def page_of_line(
    session: ControlSession, tenant: TenantId, conditions: Sequence[KeyCondition], after: UUID, most: int
) -> Sequence[tuple[ApiKeyId, bool]]:
    """The keys with the next ids for which a condition holds, and whether they were revoked.

    OFFSET: else the planner would walk all keys of all tenants in the order of their ids.
    """
    rows = ApiKey.id, ApiKey.revoked_at.is_not(None).label("is_revoked")
    found = [
        select(*rows).where(ApiKey.tenant_id == tenant, of, ApiKey.id > after).offset(literal_column("0")).subquery()
        for of in conditions
    ]
    line = union(*(select(each).order_by(each.c.id).limit(most).subquery().select() for each in found)).subquery()
    page = await session.execute(select(line.c.id, line.c.is_revoked).order_by(line.c.id).limit(most))
    return [(row[0], row[1]) for row in page]


async def page_of_made(session: ControlSession, tenant: TenantId, key: ApiKeyId, keyset: Keyset) -> Sequence[ListedKey]:
    """A page of what this key made, transitively, those included that were revoked, without the key itself."""
    line = _made_by(tenant, [key])
    query = select(ApiKey, ApiKeyUse).join(line, line.c.id == ApiKey.id)
    query = query.outerjoin(ApiKeyUse, ApiKeyUse.key_id == ApiKey.id).where(ApiKey.id != key)
    return [ListedKey(found, use) for found, use in await session.execute(keyset.of(query, ApiKey.id))]


def _made_by(tenant: TenantId, keys: Collection[ApiKeyId]) -> CTE:
    """UNION: a key that rotates its owner makes a circle.

    One look-up in an index for each column of lineage: a join on any of the three compares all keys with all.
    """
    line = select(ApiKey.id).where(ApiKey.tenant_id == tenant, _one_of(keys)).cte("line", recursive=True)
    made = union_all(
        *(select(ApiKey.id).where(ApiKey.tenant_id == tenant, each == line.c.id).correlate(line) for each in MADE)
    ).lateral("made")
    return line.union(select(made.c.id).select_from(line).join(made, true()))


async def directly_owned_by(
    session: ControlSession, tenant: TenantId, user: UserId, since: datetime, most: int
) -> Sequence[ApiKeyId]:
    """The keys that a person owns as a member since then, which are not revoked, or own one that is not.

    At most so many, the oldest first.
    """
    of_membership = func.coalesce(ApiKey.owned_since, ApiKey.created_at) >= since
    roots = select(ApiKey.id, ApiKey.id.label("root")).where(persons(tenant, user), of_membership)
    line = roots.cte("line", recursive=True)
    owned = select(ApiKey.id, line.c.root).join(line, ApiKey.owner_key_id == line.c.id)
    line = line.union(owned.where(ApiKey.tenant_id == tenant))
    query = select(line.c.root).distinct().join(ApiKey, ApiKey.id == line.c.id).where(ApiKey.revoked_at.is_(None))
    return (await session.scalars(query.order_by(line.c.root).limit(most))).all()


def this_key(key: ApiKeyId) -> KeyCondition:
    """The condition of one key."""
    return ApiKey.id == key


def persons(tenant: TenantId, user: UserId) -> KeyCondition:
    """The condition of a person's keys, of whatever membership, as ``owner_of`` reads the row."""
    by_an_older_release = and_(ApiKey.owned_by.is_(None), ApiKey.created_by_user_id == user)
    return and_(ApiKey.tenant_id == tenant, or_(ApiKey.owner_user_id == user, by_an_older_release))


async def lock(session: ControlSession, tenant: TenantId, keys: Collection[ApiKeyId]) -> Sequence[ApiKey]:
    """These keys, as they are by now, locked until the transaction ends; in the order of their ids."""
    query = select(ApiKey).where(ApiKey.tenant_id == tenant, _one_of(keys)).order_by(ApiKey.id)
    locked = query.with_for_update().execution_options(populate_existing=True)
    return (await session.scalars(locked)).all()


async def now(session: ControlSession) -> datetime:
    """The server's clock."""
    moment: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    return moment


async def save(session: ControlSession, keys: Sequence[ApiKey]) -> None:
    """Write what bounds these keys, which are changed and locked, with one statement; the session forgets them."""
    for each in keys:
        session.expunge(each)
    rows = [{name: getattr(each, name) for name in _BOUNDS} for each in keys]
    await session.execute(_SAVE, {"rows": orjson.dumps(rows).decode()})


async def pass_on(session: ControlSession, tenant: TenantId, key: ApiKeyId, successor: ApiKeyId) -> None:
    """Give the keys that this key owns to its successor."""
    owned = update(ApiKey).where(ApiKey.tenant_id == tenant, ApiKey.owner_key_id == key)
    await session.execute(owned.values(owner_key_id=successor).execution_options(synchronize_session=False))


def _one_of(keys: Collection[ApiKeyId]) -> ColumnElement[bool]:
    return ApiKey.id == any_(bindparam("keys", list(keys), type_=ARRAY(Uuid), unique=True))
