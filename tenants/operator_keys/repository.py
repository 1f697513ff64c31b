"""SQL of the control table ``operator_keys``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, LargeBinary, any_, bindparam, func, or_, select, update

from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.database.statements import Work, prepare
from tenants.identifiers import OperatorKeyId
from tenants.operator_keys.models import OperatorKey
from tenants.secrets.hashing import SecretDigest


@dataclass(frozen=True, slots=True)
class RecognisedOperatorKey:
    """The columns of a key's row that authentication reads; the key can be revoked or expired."""

    id: OperatorKeyId
    name: str
    role: str
    digest: bytes
    pepper_version: int
    expires_at: datetime | None
    revoked_at: datetime | None


_COLUMNS: tuple[Any, ...] = (
    OperatorKey.id,
    OperatorKey.name,
    OperatorKey.role,
    OperatorKey.digest,
    OperatorKey.pepper_version,
    OperatorKey.expires_at,
    OperatorKey.revoked_at,
)
_BY_DIGESTS = prepare(
    select(*_COLUMNS)
    .where(OperatorKey.digest == any_(bindparam("digests", type_=ARRAY(LargeBinary))))
    .order_by(OperatorKey.id)
)


async def find_by_digests(reads: Work, digests: Sequence[bytes]) -> list[RecognisedOperatorKey]:
    """The keys with these digests, ordered by id."""
    return [RecognisedOperatorKey(*row) for row in await reads.rows(_BY_DIGESTS, {"digests": digests})]


async def rehash(session: ControlSession, key: RecognisedOperatorKey, digest: SecretDigest) -> None:
    """Store the digest under another pepper version, unless another worker has done so."""
    changed = update(OperatorKey).where(OperatorKey.id == key.id, OperatorKey.pepper_version == key.pepper_version)
    await session.execute(changed.values(digest=digest.value, pepper_version=digest.pepper_version))


async def find(session: ControlSession, key: OperatorKeyId, *, lock: bool = False) -> OperatorKey | None:
    """One key; ``lock`` takes a row lock until the transaction ends."""
    query = select(OperatorKey).where(OperatorKey.id == key)
    return await session.scalar(query.with_for_update() if lock else query)


async def page(session: ControlSession, keyset: Keyset) -> Sequence[OperatorKey]:
    """A page of the keys by creation time, which is the order of their ids."""
    return (await session.scalars(keyset.of(select(OperatorKey), OperatorKey.id))).all()


async def count_by_pepper(session: ControlSession) -> Mapping[int, int]:
    """How many keys that have not ended are stored under each version of the pepper."""
    works = or_(OperatorKey.expires_at.is_(None), OperatorKey.expires_at > func.now())
    query = select(OperatorKey.pepper_version, func.count()).where(OperatorKey.revoked_at.is_(None), works)
    query = query.group_by(OperatorKey.pepper_version)
    return {row[0]: row[1] for row in await session.execute(query)}
