"""SQL of the control table ``operator_keys``."""

from collections.abc import Sequence

from sqlalchemy import select, update

from tenants.api_keys.secret import SecretDigest
from tenants.database.sessions import ControlSession
from tenants.identifiers import OperatorKeyId
from tenants.operator_keys.models import OperatorKey


async def find_by_digests(session: ControlSession, digests: Sequence[bytes]) -> Sequence[OperatorKey]:
    """The keys that are kept under these digests, in the order of their ids."""
    query = select(OperatorKey).where(OperatorKey.digest.in_(digests)).order_by(OperatorKey.id)
    return (await session.scalars(query)).all()


async def rehash(session: ControlSession, key: OperatorKey, digest: SecretDigest) -> None:
    """Keep the key under another version of the pepper, unless somebody did so first."""
    changed = update(OperatorKey).where(OperatorKey.id == key.id, OperatorKey.pepper_version == key.pepper_version)
    await session.execute(changed.values(digest=digest.value, pepper_version=digest.pepper_version))


async def find(session: ControlSession, key: OperatorKeyId, *, lock: bool = False) -> OperatorKey | None:
    """One key; with ``lock`` nobody else changes it until the transaction ends."""
    query = select(OperatorKey).where(OperatorKey.id == key)
    return await session.scalar(query.with_for_update() if lock else query)


async def all_keys(session: ControlSession) -> Sequence[OperatorKey]:
    """Every operator key, the newest first; there are few."""
    return (await session.scalars(select(OperatorKey).order_by(OperatorKey.id.desc()))).all()
