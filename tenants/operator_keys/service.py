"""Operator keys: create, list, revoke and look up.

``recognise`` opens its own transaction; every other call runs in the caller's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from tenants.audit import operators
from tenants.audit.origin import Origin
from tenants.audit.service import State
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession, Database
from tenants.errors import NotFound, ValidationFailed
from tenants.identifiers import OPERATOR_KEY, OperatorKeyId, new_id, show
from tenants.operator_keys import repository
from tenants.operator_keys.models import OperatorKey
from tenants.operator_keys.repository import RecognisedOperatorKey
from tenants.operator_keys.schemas import CreateOperatorKey, OperatorKeyResponse
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.recognition import recognise
from tenants.secrets.tokens import SecretKind, generate, last4_of, prefix_of

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class IssuedOperatorKey:
    """A new key and its secret, which is stored nowhere."""

    key: OperatorKey
    secret: str


class OperatorKeys:
    def __init__(self, hasher: SecretHasher) -> None:
        self._hasher = hasher

    async def create(
        self, session: ControlSession, requested: CreateOperatorKey, *, origin: Origin
    ) -> IssuedOperatorKey:
        """Create a key for an operator. Raises ValidationFailed for a time that is not in the future."""
        if requested.expires_at is not None and requested.expires_at <= datetime.now(UTC):
            raise ValidationFailed.at("/expires_at", "not_in_future", "Must be in the future.")
        secret = generate(SecretKind.OPERATOR)
        digest = self._hasher.digest(secret)
        key = OperatorKey(
            id=OperatorKeyId(new_id()),
            name=requested.name,
            role=requested.role.value,
            prefix=prefix_of(secret, SecretKind.OPERATOR),
            last4=last4_of(secret),
            digest=digest.value,
            pepper_version=digest.pepper_version,
            expires_at=requested.expires_at,
        )
        session.add(key)
        await session.flush()
        await session.refresh(key, ["created_at"])
        name = show(OPERATOR_KEY, key.id)
        _log.warning("operator_key_created", key=name, name=key.name, role=key.role)
        await operators.record(session, origin, "operator_keys.created", name, after=_audited(key))
        return IssuedOperatorKey(key, secret)

    async def page(self, session: ControlSession, keyset: Keyset) -> Sequence[OperatorKey]:
        """The keys that the keyset selects, with expired and revoked ones."""
        return await repository.page(session, keyset)

    async def read(self, session: ControlSession, key: OperatorKeyId) -> OperatorKey:
        """One key. Raises NotFound."""
        return await self._found(session, key)

    async def revoke(self, session: ControlSession, key: OperatorKeyId, *, origin: Origin) -> None:
        """Revoke a key for good; idempotent. Raises NotFound."""
        found = await self._found(session, key, lock=True)
        if found.revoked_at is not None:
            return
        before, name = _audited(found), show(OPERATOR_KEY, key)
        found.revoked_at = datetime.now(UTC)
        await session.flush()
        _log.warning("operator_key_revoked", key=name, name=found.name)
        await operators.record(session, origin, "operator_keys.revoked", name, before=before, after=_audited(found))

    async def count_by_pepper(self, session: ControlSession) -> Mapping[int, int]:
        """How many keys that have not ended need each version of the pepper."""
        return await repository.count_by_pepper(session)

    async def recognise(self, database: Database, secrets: Sequence[str]) -> dict[str, RecognisedOperatorKey]:
        """See ``tenants/secrets/recognition.py``."""
        return await recognise(database, self._hasher, secrets, repository.find_by_digests, repository.rehash)

    async def _found(self, session: ControlSession, key: OperatorKeyId, *, lock: bool = False) -> OperatorKey:
        found = await repository.find(session, key, lock=lock)
        if found is None:
            raise NotFound
        return found


def _audited(key: OperatorKey) -> State:
    return OperatorKeyResponse.of(key).model_dump(mode="json")
