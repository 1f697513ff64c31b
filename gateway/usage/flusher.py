"""Rolls journals up into PostgreSQL: this worker's as it goes, those of dead workers when it finds them.

A segment becomes one batch, whole, under its own name. Its file is deleted after the commit and never before; a batch
whose commit nobody saw is sent again and changes nothing.
"""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Protocol

import structlog

from billing.usage.service import Usage
from gateway.usage.abandoned import Abandoned, take
from gateway.usage.journal import Journal
from gateway.usage.names import SegmentName
from gateway.usage.reading import Reading
from gateway.usage.settings import UsageSettings
from tenants.database.sessions import Database
from tenants.errors import Unavailable

_AT_ONCE = 64  # segments of dead workers in one round
_SOON = 1.0  # seconds until another try, while there is no room to count
_LAST = 8.0  # seconds that a stop may take

_log = structlog.get_logger(__name__)


class _Finished(Protocol):
    """A segment that nobody writes to."""

    @property
    def name(self) -> SegmentName: ...
    def read(self) -> Reading: ...
    def discard(self) -> None: ...
    def set_aside(self) -> Path: ...


class Flusher:
    """One per worker process, beside its journal."""

    def __init__(self, journal: Journal, database: Database, settings: UsageSettings) -> None:
        self._journal = journal
        self._database = database
        self._usage = Usage()
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self._down = False
        self.batches = 0  # rolled up so far
        self._one = asyncio.Lock()  # two rounds at once would bring the same segment twice

    def start(self) -> None:
        """Begin, with what dead workers have left."""
        self._task = asyncio.create_task(self._run(), name="usage-flusher")

    async def close(self) -> None:
        """Roll up what is left. What cannot be is found by the next worker that starts on this folder."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._journal.cut()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST):
                await self.round()
        if self._journal.finished:
            _log.warning("usage_left_for_the_next_start", segments=len(self._journal.finished))

    async def round(self) -> None:
        """Roll up what is finished and make room. An outage is logged once; whatever fails is tried again."""
        async with self._one:
            self._journal.wanted.clear()
            await asyncio.to_thread(self._journal.prepare)
            await self._roll_up()
            if self._journal.full:
                await asyncio.to_thread(self._journal.prepare)
            self._journal.settle()

    async def _roll_up(self) -> None:
        try:
            await self._roll_up_own()
            await self._roll_up_abandoned()
        except Unavailable as error:
            if not self._down:
                _log.warning("usage_waits_for_postgresql", error=error.detail)
            self._down = True
        except Exception as error:  # noqa: BLE001 - whatever it is, counting goes on, and so must this
            _log.error("usage_not_rolled_up", error=f"{type(error).__name__}: {error}")
        else:
            self._down = False

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            if time.monotonic() >= due:
                self._journal.cut()
                due = time.monotonic() + self._settings.flush_seconds
            await self.round()
            await self._rest(due - time.monotonic())

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, _SOON) if self._journal.full else seconds):
                await self._journal.wanted.wait()

    async def _roll_up_own(self) -> None:
        for segment in tuple(self._journal.finished):
            reading = await self._applied(segment)
            if reading is not None:
                self._journal.finished.remove(segment)
                await self._finish(segment, reading)

    async def _roll_up_abandoned(self) -> None:
        taken = await asyncio.to_thread(take, self._settings.folder, _AT_ONCE)
        try:
            while taken:
                reading = await self._applied(taken[-1])
                segment = taken.pop()
                if reading is None:
                    segment.release()
                else:
                    await self._finish(segment, reading)
        finally:
            _release(taken)

    async def _applied(self, segment: _Finished) -> Reading | None:
        """What PostgreSQL took; None when it refused: that is a fault, and must not keep the others waiting."""
        reading = await asyncio.to_thread(segment.read)
        try:
            if reading.counts:
                batch = await asyncio.to_thread(reading.batch)
                async with self._database.control() as session:
                    await self._usage.apply(session, batch)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - logged, kept and tried again
            refusal = f"{type(error).__name__}: {error}"
            _log.error("usage_batch_refused", segment=segment.name.file, error=refusal)
            return None
        self.batches += 1
        return reading

    async def _finish(self, segment: _Finished, reading: Reading) -> None:
        """In a thread, since deleting a file may wait for the disk; nobody else may hold the segment any more."""
        await asyncio.to_thread(_done_with, segment, reading)


def _done_with(segment: _Finished, reading: Reading) -> None:
    if reading.damage:
        kept = segment.set_aside()
        _log.error("usage_segment_damaged", kept=str(kept), damage=reading.damage, read=reading.requests)
        return
    segment.discard()
    if isinstance(segment, Abandoned) and reading.counts:
        _log.info("usage_recovered", segment=segment.name.file, requests=reading.requests)


def _release(segments: list[Abandoned]) -> None:
    for each in segments:
        each.release()
