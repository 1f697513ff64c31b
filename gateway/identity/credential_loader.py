"""Loads credentials from the database: each once for all callers, many with one query, fairly between sources.

A single load starts at once. Loads requested while others are pending share the next query, which costs each some
28 times less than a query of its own (60 µs of CPU where one transaction takes 1,700): 10,000 credentials that must be
loaded again, or a flood of unknown ones, leave the processor to known callers. Queries are also paced: after a burst
the next one is due a moment after the last and includes everything requested meanwhile, so that a slow flood costs no
more than a fast one (docs/decisions/0016).

A result is for those who asked before its query began. It is for later ones too if by then every change that was
answered has arrived: one that outdates the result would have done so (docs/decisions/0040).
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass

from gateway.identity.cache import PrincipalCache
from gateway.identity.lookup import Lookup, LookupResult
from tenants.errors import Unavailable
from tenants.fair_queue import FairQueue

_REQUEST_TIMEOUT = 4.0  # seconds that a request waits for its credential (OP3)
_QUERY_TIMEOUT = 2.0  # seconds
_BATCH = 64  # credentials in one query: some 4 ms of CPU
_INTERVAL = 0.01  # seconds from one query to the next, unless a whole batch waits ...
_BURST = 20  # ... or this many queries were saved up
_MAX_ATTEMPTS = 5  # loads of one credential that changes may outdate
_MAX_QUEUE = 1_000  # credentials of one source; further ones are refused at once

Outcome = LookupResult | Exception
Load = Callable[[Sequence[Lookup]], Awaitable[Sequence[Outcome]]]


@dataclass(eq=False, slots=True)
class _PendingLoad:
    """One credential that callers wait for."""

    key: bytes
    lookup: Lookup
    source: Hashable
    done: asyncio.Future[tuple[Outcome, bool]]  # and whether it is for those who asked after its query began, too
    callers: int = 0
    attempts: int = 0


class CredentialLoader:
    """At most ``concurrency`` queries are pending, so that a flood leaves the database to others."""

    def __init__(self, cache: PrincipalCache, load: Load, *, concurrency: int = 2) -> None:
        self._cache = cache
        self._load = load
        self._concurrency = concurrency
        self._queue: FairQueue[_PendingLoad] = FairQueue()
        self._by_key: dict[bytes, _PendingLoad] = {}
        self._working = 0
        self._due = float("-inf")  # of the next query, had none been saved up
        self.started = 0  # credentials requested so far
        self._tasks: set[asyncio.Task[None]] = set()  # the event loop holds only weak references

    def __len__(self) -> int:
        """Number of credentials that callers wait for."""
        return len(self._by_key)

    async def load(self, key: bytes, lookup: Lookup, source: Hashable) -> LookupResult:
        """Load the credential with this hash. Raises Unavailable when that is not possible in time."""
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT):
                outcome = await self._outcome(key, lookup, source)
        except TimeoutError as error:
            raise Unavailable(detail="a credential could not be loaded in time") from error
        if isinstance(outcome, Unavailable):
            raise Unavailable(detail=outcome.detail) from outcome
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _outcome(self, key: bytes, lookup: Lookup, source: Hashable) -> Outcome:
        while True:
            pending = self._by_key.get(key) or self._enqueue(key, lookup, source)
            begun = pending.attempts
            pending.callers += 1
            try:
                outcome, for_all = await asyncio.shield(
                    pending.done
                )  # a caller that disconnects cancels it for no other
            finally:
                pending.callers -= 1
            if for_all or pending.attempts > begun:
                return outcome

    def _enqueue(self, key: bytes, lookup: Lookup, source: Hashable) -> _PendingLoad:
        if self._queue.length(source) >= _MAX_QUEUE:
            raise Unavailable(detail="too many credentials of one source wait to be loaded")
        pending = _PendingLoad(key, lookup, source, asyncio.get_running_loop().create_future())
        self._by_key[key] = pending
        self.started += 1
        self._queue.put(source, pending)
        if self._working < self._concurrency:
            self._working += 1
            task = asyncio.create_task(self._work(), name="load-credentials")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return pending

    async def _work(self) -> None:
        try:
            while self._queue:
                await self._pace()
                batch = [each for each in self._queue.take(_BATCH) if self._has_callers(each)]
                if batch:
                    await self._load_batch(batch)
        finally:
            self._working -= 1  # in the same step as the check for an empty queue: a later load starts another task

    async def _pace(self) -> None:
        """Wait until the next query is due or a whole batch waits."""
        now = asyncio.get_running_loop().time()
        pause = self._due - _BURST * _INTERVAL - now
        self._due = min(max(self._due, now) + _INTERVAL, now + (_BURST + 2 * self._concurrency) * _INTERVAL)
        if pause > 0 and len(self._queue) < _BATCH:
            await asyncio.sleep(pause)

    def _has_callers(self, pending: _PendingLoad) -> bool:
        if not pending.callers:  # all have disconnected
            self._finish(pending, Unavailable())
        return bool(pending.callers)

    async def _load_batch(self, batch: Sequence[_PendingLoad]) -> None:
        for each in batch:
            each.attempts += 1
            if each.attempts == _MAX_ATTEMPTS:
                # Its result is final, for the callers that wait by now: a later caller needs a newer one.
                self._unlink(each)
        began = self._cache.begin_load()
        for each, outcome in zip(batch, await self._outcomes(batch), strict=True):
            final = isinstance(outcome, Exception) or self._cache.keep(each.key, outcome, began)
            if final or each.attempts == _MAX_ATTEMPTS:
                self._finish(each, outcome)
            else:
                self._queue.put(each.source, each)
            await asyncio.sleep(0)  # a refused caller takes 0.2 ms: others must not wait for 64 of them

    async def _outcomes(self, batch: Sequence[_PendingLoad]) -> Sequence[Outcome]:
        try:
            async with asyncio.timeout(_QUERY_TIMEOUT):
                return await self._load([each.lookup for each in batch])
        except TimeoutError:
            return [Unavailable(detail="the database did not respond to a credential lookup in time")] * len(batch)
        except Exception as error:  # noqa: BLE001 - raised to every waiting caller
            return [error] * len(batch)

    def _finish(self, pending: _PendingLoad, outcome: Outcome) -> None:
        # In the same step as the insertion: no caller may join a load whose result a change could outdate by then.
        self._unlink(pending)
        pending.done.set_result((outcome, isinstance(outcome, Exception) or self._cache.confirmed))

    def _unlink(self, pending: _PendingLoad) -> None:
        if self._by_key.get(pending.key) is pending:
            del self._by_key[pending.key]
