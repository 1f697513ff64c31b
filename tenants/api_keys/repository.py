"""SQL of the control table ``api_keys``."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ARRAY, LargeBinary, any_, bindparam, func, or_, select, update

from tenants.api_keys.models import ApiKey
from tenants.api_keys.recognised import RecognisedKey
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.database.statements import Work, prepare
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


async def find_by_digests(reads: Work, digests: Sequence[bytes]) -> list[RecognisedKey]:
    """The keys with these digests, ordered by id."""
    rows = await reads.rows(_BY_DIGESTS, {"digests": digests})
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
