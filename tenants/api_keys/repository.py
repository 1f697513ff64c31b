"""SQL of the control table ``api_keys``."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update

from tenants.api_keys.models import ApiKey
from tenants.api_keys.secret import SecretDigest
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.directory.models import Tenant
from tenants.identifiers import ApiKeyId, TenantId


async def find_by_digests(session: ControlSession, digests: Sequence[bytes]) -> list[tuple[ApiKey, Tenant]]:
    """The keys that are kept under these digests, with their tenants, in the order of the keys' ids."""
    query = select(ApiKey, Tenant).join(Tenant, Tenant.id == ApiKey.tenant_id).where(ApiKey.digest.in_(digests))
    # An order, so that two workers which renew the hashes of the same keys wait for each other, and never in a ring.
    return [(row[0], row[1]) for row in await session.execute(query.order_by(ApiKey.id))]


async def rehash(session: ControlSession, key: ApiKey, digest: SecretDigest) -> None:
    """Keep the key under another version of the pepper, unless somebody did so first."""
    changed = update(ApiKey).where(ApiKey.id == key.id, ApiKey.pepper_version == key.pepper_version)
    await session.execute(changed.values(digest=digest.value, pepper_version=digest.pepper_version))


async def find(session: ControlSession, tenant: TenantId, key: ApiKeyId, *, lock: bool = False) -> ApiKey | None:
    """One key of this tenant, and of no other; with ``lock`` nobody else changes it until the transaction ends."""
    query = select(ApiKey).where(ApiKey.tenant_id == tenant, ApiKey.id == key)
    return await session.scalar(query.with_for_update() if lock else query)


async def page(session: ControlSession, tenant: TenantId, keyset: Keyset) -> Sequence[ApiKey]:
    """Keys of this tenant, by the time of their making, which their ids sort by."""
    query = select(ApiKey).where(ApiKey.tenant_id == tenant)
    return (await session.scalars(keyset.of(query, ApiKey.id))).all()


async def has_successor(session: ControlSession, key: ApiKeyId) -> bool:
    """Whether the key was rotated already."""
    return await session.scalar(select(ApiKey.id).where(ApiKey.rotated_from_id == key).limit(1)) is not None


async def end_at(session: ControlSession, key: ApiKey, when: datetime) -> None:
    """Let the key expire then, unless it does so earlier."""
    if key.expires_at is None or key.expires_at > when:
        key.expires_at = when
        await session.flush()
