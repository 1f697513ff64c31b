"""SQL of the control tables ``api_keys`` and ``api_key_uses``."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from operator import eq, ge, gt, le, lt
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    LargeBinary,
    Select,
    SQLColumnExpression,
    Uuid,
    any_,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
    update,
)

from tenants.api_keys.filters import KeyField, KeyFilter, ListedKey
from tenants.api_keys.models import ApiKey, ApiKeyUse
from tenants.api_keys.recognised import RecognisedKey
from tenants.api_keys.status import KeyStatus
from tenants.crud.filters import Operator
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.database.statements import Row, Work, prepare
from tenants.directory.models import Tenant
from tenants.directory.reference import COLUMNS, reference_of
from tenants.identifiers import ApiKeyId, TenantId
from tenants.secrets.hashing import SecretDigest

_KEY_COLUMNS = (
    ApiKey.id,
    ApiKey.digest,
    ApiKey.pepper_version,
    ApiKey.role,
    ApiKey.scopes,
    ApiKey.limits,
    ApiKey.binding_limits,
    ApiKey.family_id,
    ApiKey.made_by_key,
    ApiKey.allowed_cidrs,
    ApiKey.created_by_user_id,
    ApiKey.owned_by,
    ApiKey.owner_user_id,
    ApiKey.owner_key_id,
    ApiKey.owned_since,
    ApiKey.created_at,
    ApiKey.expires_at,
    ApiKey.disabled_at,
    ApiKey.rotated_at,
    ApiKey.revoked_at,
)
# Ordered, so that two workers which rehash the same keys cannot deadlock.
_BY_DIGESTS = prepare(
    select(*_KEY_COLUMNS, *COLUMNS)
    .join(Tenant, Tenant.id == ApiKey.tenant_id)
    .where(ApiKey.digest == any_(bindparam("digests", type_=ARRAY(LargeBinary))))
    .order_by(ApiKey.id)
)
_BY_IDS = prepare(
    select(*_KEY_COLUMNS, *COLUMNS)
    .join(Tenant, Tenant.id == ApiKey.tenant_id)
    .where(ApiKey.id == any_(bindparam("keys", type_=ARRAY(Uuid))))
)


def _with_owners() -> Select[*tuple[Any, ...]]:
    """These keys, and those that own them, directly or through others. UNION: a circle would end, too."""
    line = select(func.unnest(bindparam("keys", type_=ARRAY(Uuid))).label("id")).cte("line", recursive=True)
    line = line.union(
        select(ApiKey.owner_key_id).join(line, line.c.id == ApiKey.id).where(ApiKey.owner_key_id.is_not(None))
    )
    return (
        select(*_KEY_COLUMNS, *COLUMNS).join(line, line.c.id == ApiKey.id).join(Tenant, Tenant.id == ApiKey.tenant_id)
    )


_WITH_OWNERS = prepare(_with_owners())


async def find_by_digests(reads: Work, digests: Sequence[bytes]) -> list[RecognisedKey]:
    """The keys with these digests, ordered by id."""
    return _recognised(await reads.rows(_BY_DIGESTS, {"digests": digests}))


async def find_by_ids(reads: Work, keys: Collection[ApiKeyId]) -> list[RecognisedKey]:
    """The keys with these ids, of any tenant, ended or not."""
    return _recognised(await reads.rows(_BY_IDS, {"keys": list(keys)}))


async def find_with_owners(reads: Work, keys: Collection[ApiKeyId]) -> list[RecognisedKey]:
    """The keys with these ids, and all keys that own them, directly or through others."""
    return _recognised(await reads.rows(_WITH_OWNERS, {"keys": list(keys)}))


def _recognised(rows: Iterable[Row]) -> list[RecognisedKey]:
    count = len(_KEY_COLUMNS)
    return [RecognisedKey(reference_of(*row[count:]), *row[:count]) for row in rows]


async def rehash(session: ControlSession, key: RecognisedKey, digest: SecretDigest) -> None:
    """Store the digest under another pepper version, unless another worker has done so."""
    changed = update(ApiKey).where(ApiKey.id == key.id, ApiKey.pepper_version == key.pepper_version)
    await session.execute(changed.values(digest=digest.value, pepper_version=digest.pepper_version))


async def find(session: ControlSession, tenant: TenantId, key: ApiKeyId, *, lock: bool = False) -> ApiKey | None:
    """One key of this tenant; ``lock`` takes a row lock until the transaction ends."""
    query = select(ApiKey).where(ApiKey.tenant_id == tenant, ApiKey.id == key)
    return await session.scalar(query.with_for_update() if lock else query)


async def hold(session: ControlSession, tenant: TenantId, key: ApiKeyId) -> ApiKey | None:
    """One key of this tenant as it is now, which does not change before the transaction ends."""
    query = select(ApiKey).where(ApiKey.tenant_id == tenant, ApiKey.id == key).with_for_update(read=True)
    return await session.scalar(query.execution_options(populate_existing=True))


async def find_listed(session: ControlSession, tenant: TenantId, key: ApiKeyId) -> ListedKey | None:
    """One key of this tenant, as lists have it."""
    row = (await session.execute(_listed(tenant).where(ApiKey.id == key))).one_or_none()
    return None if row is None else ListedKey(row[0], row[1])


async def page(
    session: ControlSession, tenant: TenantId, keyset: Keyset, filters: Sequence[KeyFilter] = ()
) -> Sequence[ListedKey]:
    """A page of this tenant's keys by creation time, which is the order of their ids; all conditions hold for each."""
    query = _listed(tenant).where(*map(_condition, filters))
    return [ListedKey(key, use) for key, use in await session.execute(keyset.of(query, ApiKey.id))]


def _listed(tenant: TenantId) -> Select[ApiKey, ApiKeyUse]:
    query = select(ApiKey, ApiKeyUse).outerjoin(ApiKeyUse, ApiKeyUse.key_id == ApiKey.id)
    return query.where(ApiKey.tenant_id == tenant)


# As ``status.py`` decides.
_STATUS = case(
    (ApiKey.revoked_at.is_not(None), KeyStatus.REVOKED.value),
    (ApiKey.expires_at <= func.now(), KeyStatus.EXPIRED.value),
    (ApiKey.disabled_at.is_not(None), KeyStatus.DISABLED.value),
    (ApiKey.rotated_at.is_not(None), KeyStatus.ROTATING.value),
    else_=KeyStatus.ACTIVE.value,
)
_FILTERED: Mapping[KeyField, SQLColumnExpression[Any]] = {
    KeyField.STATUS: _STATUS,
    KeyField.ROLE: ApiKey.role,
    KeyField.NAME: ApiKey.name,
    # As it is shown: a key that a key made is not also made by the person whose key that was.
    KeyField.CREATED_BY: func.coalesce(ApiKey.created_by_key_id, ApiKey.created_by_user_id),
    KeyField.CREATED_AT: ApiKey.created_at,
    KeyField.EXPIRES_AT: ApiKey.expires_at,
    KeyField.LAST_USED_AT: ApiKeyUse.last_used_at,
}
_COMPARED: Mapping[Operator, Callable[[SQLColumnExpression[Any], Any], ColumnElement[bool]]] = {
    Operator.EQ: eq,
    Operator.NE: lambda column, value: column.is_distinct_from(value),
    Operator.GT: gt,
    Operator.GTE: ge,
    Operator.LT: lt,
    Operator.LTE: le,
    Operator.IN: lambda column, values: column.in_(values),
    Operator.CONTAINS: lambda column, text: column.icontains(text, autoescape=True),
    Operator.STARTS_WITH: lambda column, text: column.istartswith(text, autoescape=True),
    Operator.IS_NULL: lambda column, wanted: column.is_(None) if wanted else column.is_not(None),
}


def _condition(wanted: KeyFilter) -> ColumnElement[bool]:
    return _COMPARED[wanted.operator](_FILTERED[wanted.field], wanted.value)


async def line(session: ControlSession, key: ApiKeyId) -> frozenset[ApiKeyId]:
    """The key, the key that it replaces, and so on."""
    first = select(ApiKey.id, ApiKey.rotated_from_id).where(ApiKey.id == key).cte("line", recursive=True)
    older = select(ApiKey.id, ApiKey.rotated_from_id).join(first, ApiKey.id == first.c.rotated_from_id)
    return frozenset((await session.scalars(select(first.union(older).c.id))).all())


async def bound_by(
    session: ControlSession, tenant: TenantId, line: frozenset[ApiKeyId], most: int
) -> Sequence[ApiKeyId]:
    """The keys that work and are bound by limits that are given to a key of ``line``; at most so many.

    Those are what the line made and what replaces it, directly or through others, as far as it is recorded; and the
    keys of older releases that have such a limit.
    """
    after = select(func.unnest(cast(list(line), ARRAY(Uuid))).label("id")).cte("after", recursive=True)
    follows = or_(ApiKey.created_by_key_id == after.c.id, ApiKey.rotated_from_id == after.c.id)
    after = after.union(select(ApiKey.id).join(after, follows))
    limit = func.jsonb_array_elements(ApiKey.binding_limits).table_valued("value").render_derived(name="bound")
    given_to: ColumnElement[str] = literal_column("bound.value ->> 'key_id'")
    is_bound = select(limit.c.value).where(given_to.in_([each.hex for each in line])).exists()
    works = ApiKey.revoked_at.is_(None) & or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())
    query = select(ApiKey.id).where(ApiKey.tenant_id == tenant, works, or_(is_bound, ApiKey.id.in_(select(after.c.id))))
    return (await session.scalars(query.order_by(ApiKey.id).limit(most))).all()


_SAVE_LIMITS = (
    update(ApiKey.__table__)  # type: ignore[arg-type]  # a table, by SQLAlchemy's annotations any selectable
    .where(ApiKey.id == bindparam("key"))
    .values(limits=bindparam("limits"), binding_limits=bindparam("binding_limits"))
)


async def save_limits(session: ControlSession, keys: Sequence[ApiKey]) -> None:
    """Write the limits of these keys, which are changed and locked, with one statement; the session forgets them."""
    for each in keys:
        session.expunge(each)
    if keys:
        values = [{"key": each.id, "limits": each.limits, "binding_limits": each.binding_limits} for each in keys]
        await (await session.connection()).execute(_SAVE_LIMITS, values)


async def has_role(session: ControlSession, tenant: TenantId, role: str) -> bool:
    """Whether any key of the tenant that has not ended has this role."""
    query = select(ApiKey.id).where(ApiKey.tenant_id == tenant, ApiKey.role == role, ApiKey.revoked_at.is_(None))
    query = query.where(or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()))
    return await session.scalar(query.limit(1)) is not None


async def has_successor(session: ControlSession, key: ApiKeyId) -> bool:
    """Whether the key was rotated."""
    return await session.scalar(select(ApiKey.id).where(ApiKey.rotated_from_id == key).limit(1)) is not None


async def count_by_pepper(session: ControlSession) -> Mapping[int, int]:
    """How many keys of all tenants that have not ended are stored under each version of the pepper."""
    works = ApiKey.revoked_at.is_(None) & or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())
    query = select(ApiKey.pepper_version, func.count()).where(works).group_by(ApiKey.pepper_version)
    return {row[0]: row[1] for row in await session.execute(query)}


async def end_at(session: ControlSession, key: ApiKey, when: datetime) -> None:
    """Expire the key at this time, unless it expires earlier."""
    if key.expires_at is None or key.expires_at > when:
        key.expires_at = when
    await session.flush()
