"""From tokens to the rows that are stored under their hashes: keys of tenants, and those of operators."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from tenants.database.sessions import ControlSession, Database
from tenants.database.statements import Work
from tenants.secrets.hashing import SecretDigest, SecretHasher


class StoredKey(Protocol):
    """The columns that recognition reads of a row."""

    @property
    def digest(self) -> bytes: ...

    @property
    def pepper_version(self) -> int: ...


Key = TypeVar("Key", bound=StoredKey)
Find = Callable[[Work, Sequence[bytes]], Awaitable[list[Key]]]
Rehash = Callable[[ControlSession, Key, SecretDigest], Awaitable[None]]


async def recognise(
    database: Database, hasher: SecretHasher, secrets: Sequence[str], find: Find[Key], rehash: Rehash[Key]
) -> dict[str, Key]:
    """By token, the rows that are stored under its hash, ended or not. A hash under an old pepper is renewed.

    Raises Unavailable when PostgreSQL is down.
    """
    by_digest = {each.value: secret for secret in secrets for each in hasher.candidates(secret)}
    stored = {by_digest[key.digest]: key for key in await find(database.control_reads, list(by_digest))}
    found = {secret: key for secret, key in stored.items() if hasher.matches(secret, key.digest)}
    old = {secret: key for secret, key in found.items() if key.pepper_version != hasher.newest}
    if old:
        async with database.control() as session:
            for secret, key in old.items():
                await rehash(session, key, hasher.digest(secret))
    return found
