"""Passwords: which are good enough, and how they are hashed without holding up anybody else.

Rules after NIST SP 800-63B-4 section 3.1.1: length counts, composition does not; nothing is truncated; common ones are
refused. Hashing is argon2id (RFC 9106) in a few threads of its own, which release the interpreter while they work.
"""

import asyncio
import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from tenants.errors import Unavailable, ValidationFailed

LEAST_CHARACTERS = 15
MOST_BYTES = 1024
_LEAST_DIFFERENT = 5  # characters
_THREADS = 2  # each takes _MEMORY while it hashes
_MOST_WAITING = 64
_MEMORY = 19_456  # KiB; OWASP Password Storage Cheat Sheet: 19 MiB, two passes, one lane
_PASSES = 2
_LANES = 1

_BLOCKED = frozenset(
    {
        "123456789012345",
        "1234567890123456",
        "abcdefghijklmno",
        "abcdefghijklmnop",
        "administrator123",
        "changemechangeme",
        "correcthorsebatterystaple",
        "iloveyouiloveyou",
        "letmeinletmein123",
        "passwordpassword",
        "password12345678",
        "password123456789",
        "qwertyuiopasdfgh",
        "qwertyuiopasdfghjkl",
        "qwertyuiop123456",
        "thisisapassword",
        "thisismypassword",
        "trustno1trustno1",
        "welcomewelcome1",
        "welcome123456789",
    }
)

_GIVES_WAY = 5  # nice(2): a thread that wants the processor at the same time gets three times as much of it

_Result = TypeVar("_Result")


def checked_password(password: str, email: str) -> None:
    """Raise ValidationFailed, pointing at ``/password``, when a new password is not good enough (ID9)."""
    if len(password.encode()) > MOST_BYTES:
        raise ValidationFailed.at("/password", "too_long", f"A password has at most {MOST_BYTES} bytes.")
    text = normalized(password)
    if len(text) < LEAST_CHARACTERS:
        raise ValidationFailed.at("/password", "too_short", f"A password has at least {LEAST_CHARACTERS} characters.")
    if _too_common(text.casefold(), email.casefold()):
        raise ValidationFailed.at("/password", "too_common", "This password is too easy to guess.")


def _too_common(text: str, email: str) -> bool:
    letters = "".join(each for each in text if not each.isspace())
    return letters in _BLOCKED or len(set(letters)) < _LEAST_DIFFERENT or letters in {email, email.partition("@")[0]}


def normalized(password: str) -> str:
    """One form for what the same keys make on different systems (RFC 8265 section 4.2: OpaqueString)."""
    return unicodedata.normalize("NFC", password)


def _give_way() -> None:
    """Let whoever answers requests have the processor first. Linux counts niceness by thread, others by process."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _GIVES_WAY)


class PasswordHasher:
    """Hashes and verifies in a bounded pool: a flood of sign-ins waits for itself, not the event loop."""

    def __init__(self) -> None:
        hasher = Argon2Hasher(time_cost=_PASSES, memory_cost=_MEMORY, parallelism=_LANES)
        self._hash = PasswordHash((hasher,))
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="argon2", initializer=_give_way)
        self._waiting = 0
        # Verified against where there is nothing to verify against, so that both take the same time (ID10).
        self._nobody = self._hash.hash("a password that nobody has")

    @property
    def waiting(self) -> int:
        """Passwords that are hashed now, or wait for it."""
        return self._waiting

    async def hash(self, password: str) -> str:
        """The argon2id hash to keep, in PHC string form. Raises Unavailable when too many wait already."""
        return await self._work(lambda: self._hash.hash(normalized(password)))

    async def verify(self, password: str, kept: str | None) -> bool:
        """Whether this is the password. Takes as long when there is none to compare with.

        Raises Unavailable when too many wait already.
        """
        matches = await self._work(lambda: self._hash.verify(normalized(password), kept or self._nobody))
        return matches and kept is not None

    def close(self) -> None:
        """End the threads once they are done with what they have."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _work(self, call: Callable[[], _Result]) -> _Result:
        if self._waiting >= _MOST_WAITING:
            raise Unavailable(detail="too many passwords wait to be hashed")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        finally:
            self._waiting -= 1
