"""Password rules, and hashing that does not block other requests.

Rules after NIST SP 800-63B-4 section 3.1.1: length instead of composition, no truncation, no common passwords.
Hashing is argon2id (RFC 9106) in its own threads, which release the interpreter lock while they hash.
"""

import asyncio
import os
import sys
import threading
import unicodedata
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import structlog
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from tenants.errors import ValidationFailed
from tenants.fair_queue import FairSlots
from tenants.users.common_passwords import COMMON_PASSWORDS

LEAST_CHARACTERS = 15
LEAST_WITH_FACTOR = 8  # characters, of a person whose every sign-in needs a second factor
MOST_BYTES = 1024
_LEAST_DIFFERENT = 5  # characters
_THREADS = 2  # each uses _MEMORY while hashing
_MOST_WAITING = 256  # of a lane
_MOST_WAITING_OF_ONE = 32  # of one source: some 0.4 s of both threads
_LONGEST_WAIT = 3.0  # seconds (OP3)
_MEMORY = 19_456  # KiB; OWASP Password Storage Cheat Sheet: 19 MiB, two passes, one lane
_PASSES = 2
_LANES = 1

_NICENESS = 5  # nice(2): a competing thread gets three times as much of the processor

_Result = TypeVar("_Result")

_log = structlog.get_logger(__name__)


def checked_password(password: str, email: str, least: int = LEAST_CHARACTERS) -> None:
    """Check a new password (ID9). Raises ValidationFailed at ``/password``."""
    if len(password.encode()) > MOST_BYTES:
        raise ValidationFailed.at("/password", "too_long", f"Must have at most {MOST_BYTES} bytes.")
    text = normalized(password)
    if len(text) < least:
        raise too_short(least)
    if _too_common(text.casefold(), email.casefold()):
        raise ValidationFailed.at("/password", "too_common", "Too easy to guess. Choose another password.")


def too_short(least: int) -> ValidationFailed:
    """The error for a new password of fewer than ``least`` characters."""
    return ValidationFailed.at("/password", "too_short", f"Must have at least {least} characters.")


def is_short(password: str) -> bool:
    """Whether it is accepted only with a second factor."""
    return len(normalized(password)) < LEAST_CHARACTERS


def _too_common(text: str, email: str) -> bool:
    letters = "".join(each for each in text if not each.isspace())
    if letters in COMMON_PASSWORDS or len(set(letters)) < _LEAST_DIFFERENT:
        return True
    return letters in {email, email.partition("@")[0]}


def normalized(password: str) -> str:
    """Normalise text that systems encode differently (RFC 8265 section 4.2: OpaqueString)."""
    return unicodedata.normalize("NFC", password)


def _lower_priority() -> None:
    """Give request handling priority. Only Linux applies niceness per thread, so other systems are left alone.

    Relative to the process, which may have been started with a niceness of its own: a lower value than that takes a
    privilege. Hashing works without it, so a system that refuses is logged and no more.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        try:
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS)
        except OSError as error:
            _log.warning("password_thread_priority_unchanged", error=str(error))


def _argon2id() -> PasswordHash:
    return PasswordHash((Argon2Hasher(time_cost=_PASSES, memory_cost=_MEMORY, parallelism=_LANES),))


@cache
def _dummy_hash() -> str:
    return _argon2id().hash("an unused password")


class PasswordHasher:
    """Hashes and verifies in a bounded thread pool, so that a login flood does not block the event loop.

    Sources wait in turns: beside a flood of one source, another one waits for some two hashes.
    """

    def __init__(self) -> None:
        self._hash = _argon2id()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="argon2", initializer=_lower_priority)
        self._slots = FairSlots(
            _THREADS, most=_MOST_WAITING, most_of_one=_MOST_WAITING_OF_ONE, longest_wait=_LONGEST_WAIT
        )
        # Verified when there is no stored hash, so that both cases take the same time (ID10).
        self._dummy_hash = _dummy_hash()

    @property
    def waiting(self) -> int:
        """Passwords being hashed or waiting for it."""
        return self._slots.callers

    async def hash(self, password: str, *, source: Hashable = None, lane: Hashable = None) -> str:
        """The argon2id hash in PHC string format. Callers wait as those of ``verify`` do, and it raises the same."""
        return await self._work(lambda: self._hash.hash(normalized(password)), source, lane)

    async def verify(
        self, password: str, stored: str | None, *, source: Hashable = None, lane: Hashable = None
    ) -> bool:
        """Whether the password matches. Takes the same time without a stored hash.

        Callers of different lanes wait in turns, and in a lane those of different sources. Raises Unavailable when too
        many requests wait, RateLimited when too many of this source do.
        """
        verify = self._hash.verify
        matches = await self._work(lambda: verify(normalized(password), stored or self._dummy_hash), source, lane)
        return matches and stored is not None

    def close(self) -> None:
        """Stop the threads; running hashes finish."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _work(self, call: Callable[[], _Result], source: Hashable = None, lane: Hashable = None) -> _Result:
        await self._slots.acquire(source, lane)
        work = asyncio.get_running_loop().run_in_executor(self._pool, call)
        work.add_done_callback(lambda _: self._slots.release())
        return await asyncio.shield(work)  # a caller that disconnects leaves the thread busy: it holds its slot
