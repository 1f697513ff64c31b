"""When API keys are used, and how often: noted by requests in memory, written to PostgreSQL in batches.

Requests that the plan is charged for are counted by the usage journal, which survives a killed process; the rest
(management, and when and from where a key was last used) is noted here. What a killed process noted since its last
batch is lost, ten seconds of it by default; each batch is added exactly once.
"""

import asyncio
import contextlib
import time
from copy import copy
from itertools import count
from uuid import UUID, uuid4

import structlog

from billing.usage.service import Usage
from tenants.api_keys.uses.repository import KeyUse
from tenants.database.sessions import Database
from tenants.errors import Unavailable
from tenants.principal import Principal

_MOST = 200_000  # keys of one batch; further ones are not noted
_CHUNK = 1_000  # keys in one transaction

_log = structlog.get_logger(__name__)


class Noted:
    """Uses of one principal since the last batch. Requests write to it directly: a call costs as much as all of it."""

    __slots__ = ("address", "at", "principal", "requests")

    def __init__(self, principal: Principal) -> None:
        self.principal = principal  # kept, so that no other object gets its identity
        self.requests = 0  # beside those that the usage of the plan counts
        self.at = 0.0  # time.perf_counter() of the last one
        self.address = ""


class KeyUses:
    """One per worker."""

    def __init__(self, database: Database, usage: Usage, interval: float, *, most: int = _MOST) -> None:
        self._database = database
        self._usage = usage
        self._interval = interval
        self._most = most
        # By the identity of the principal: hashing a UUID runs Python code (as in gateway/usage/journal.py).
        self.noted: dict[int, Noted] = {}
        self._unstored: dict[UUID, KeyUse] = {}  # of batches to write
        self._sent: tuple[int, list[KeyUse]] | None = None  # a batch whose commit was not confirmed, and its number
        self._recorder, self._numbers = uuid4(), count(1)
        self._task: asyncio.Task[None] | None = None
        self._down = False

    def first(self, principal: Principal) -> Noted:
        """Where the uses of a principal are noted that has none in ``noted`` yet. Never fails."""
        made = Noted(principal)
        if len(self.noted) < self._most:
            self.noted[id(principal)] = made
        return made

    def rehearsal(self) -> "KeyUses":
        """Uses that are written to nothing."""
        other = copy(self)
        other.detach()
        return other

    def detach(self) -> None:
        """Keep nothing from now on."""
        self.noted, self._most = {}, 0

    def start(self) -> None:
        """Begin to write batches."""
        self._task = asyncio.create_task(self._run(), name="key-uses")

    async def close(self) -> None:
        """Write what is left, if PostgreSQL is available."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.flush()

    async def flush(self) -> None:
        """Write what was noted. An outage is logged once; what could not be written is written by a later flush."""
        self._take()
        try:
            while self._sent or self._unstored:
                await self._store()
                await asyncio.sleep(0)
        except Unavailable as error:
            if not self._down:
                _log.warning("key_uses_unavailable", error=error.detail)
            self._down = True
        except Exception as error:  # noqa: BLE001 - no error may end the task
            _log.error("key_uses_not_written", error=f"{type(error).__name__}: {error}")
            self._sent = None  # another attempt would fail as well
        else:
            self._down = False

    def _take(self) -> None:
        """Add what was noted to what is not stored yet, by key, which can have had several principals."""
        since_epoch = time.time() - time.perf_counter()
        noted, self.noted = self.noted, {}
        for each in noted.values():
            key = each.principal.id
            known = self._unstored.get(key)
            if known is None and len(self._unstored) >= self._most:
                continue
            requests, at = each.requests, each.at + since_epoch
            if known is None or known.at <= at:
                self._unstored[key] = KeyUse(key, requests + (known.requests if known else 0), at, each.address)
            else:
                self._unstored[key] = known._replace(requests=known.requests + requests)

    async def _store(self) -> None:
        """Write one batch: the same again, with the same number, until its commit is confirmed."""
        if self._sent is None:
            keys = [key for key, _ in zip(self._unstored, range(_CHUNK), strict=False)]
            self._sent = next(self._numbers), [self._unstored.pop(key) for key in keys]
        number, uses = self._sent
        async with self._database.control() as session:
            await self._usage.apply_key_uses(session, self._recorder, number, uses)
        self._sent = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self.flush()
