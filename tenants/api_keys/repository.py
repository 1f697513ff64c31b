"""SQL of the control table ``api_keys``."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, LargeBinary, Select, Uuid, any_, bindparam, func, or_, select, update

from tenants.api_keys.lineage import Owner, columns_of
from tenants.api_keys.models import ApiKey
from tenants.api_keys.recognised import RecognisedKey
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


async def page(session: ControlSession, tenant: TenantId, keyset: Keyset) -> Sequence[ApiKey]:
    """A page of this tenant's keys by creation time, which is the order of their ids."""
    query = select(ApiKey).where(ApiKey.tenant_id == tenant)
    return (await session.scalars(keyset.of(query, ApiKey.id))).all()


async def has_role(session: ControlSession, tenant: TenantId, role: str) -> bool:
    """Whether any key of the tenant that has not ended has this role."""
    query = select(ApiKey.id).where(ApiKey.tenant_id == tenant, ApiKey.role == role, ApiKey.revoked_at.is_(None))
    query = query.where(or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()))
    return await session.scalar(query.limit(1)) is not None


async def has_successor(session: ControlSession, key: ApiKeyId) -> bool:
    """Whether the key was rotated."""
    return await session.scalar(select(ApiKey.id).where(ApiKey.rotated_from_id == key).limit(1)) is not None


async def end_at(session: ControlSession, key: ApiKey, when: datetime) -> None:
    """Expire the key at this time, unless it expires earlier."""
    if key.expires_at is None or key.expires_at > when:
        key.expires_at = when
        await session.flush()


async def pass_on(session: ControlSession, tenant: TenantId, key: ApiKeyId, owner: Owner) -> list[ApiKeyId]:
    """Give the keys that this key owns to another owner; their ids."""
    owned = update(ApiKey).where(ApiKey.tenant_id == tenant, ApiKey.owner_key_id == key)
    changed = owned.values(**columns_of(owner)).returning(ApiKey.id)
    return list(await session.scalars(changed.execution_options(synchronize_session="fetch")))
