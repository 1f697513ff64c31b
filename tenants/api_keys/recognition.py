"""From secrets to the keys that are kept under their hashes: tenants' keys, and those of operators."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from tenants.api_keys.secret import SecretDigest, SecretHasher
from tenants.database.sessions import ControlSession, Database
from tenants.database.statements import Work


class KeptKey(Protocol):
    """What is asked of a row, whatever else it holds."""

    @property
    def digest(self) -> bytes: ...

    @property
    def pepper_version(self) -> int: ...


Key = TypeVar("Key", bound=KeptKey)
Find = Callable[[Work, Sequence[bytes]], Awaitable[list[Key]]]
Rehash = Callable[[ControlSession, Key, SecretDigest], Awaitable[None]]


async def recognise(
    database: Database, hasher: SecretHasher, secrets: Sequence[str], find: Find[Key], rehash: Rehash[Key]
) -> dict[str, Key]:
    """By secret, the keys that these are the secrets of, ended or not. A hash under an old pepper is renewed.

    Raises Unavailable when PostgreSQL is down.
    """
    by_digest = {each.value: secret for secret in secrets for each in hasher.candidates(secret)}
    kept = {by_digest[key.digest]: key for key in await find(database.control_reads, list(by_digest))}
    found = {secret: key for secret, key in kept.items() if hasher.matches(secret, key.digest)}
    old = {secret: key for secret, key in found.items() if key.pepper_version != hasher.newest}
    if old:
        async with database.control() as session:
            for secret, key in old.items():
                await rehash(session, key, hasher.digest(secret))
    return found
