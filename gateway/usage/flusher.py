"""Writes journal segments to PostgreSQL: this worker's own, and those of dead workers.

A segment becomes one batch under its own name. Its file is deleted only after the commit. A batch whose commit was not
confirmed is sent again, which changes nothing.
"""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Protocol

import structlog

from billing.usage.service import Usage
from gateway.usage.abandoned import Abandoned, take_abandoned
from gateway.usage.journal import Journal
from gateway.usage.names import SegmentName
from gateway.usage.reading import Reading
from gateway.usage.settings import UsageSettings
from tenants.database.sessions import Database
from tenants.errors import Unavailable

_MAX_ABANDONED = 64  # segments of dead workers in one round
_RETRY = 1.0  # seconds until the next round while the journal is full
_SHUTDOWN_TIMEOUT = 8.0  # seconds

_log = structlog.get_logger(__name__)


class _Finished(Protocol):
    """A segment without a writer."""

    @property
    def name(self) -> SegmentName: ...
    def read(self) -> Reading: ...
    def discard(self) -> None: ...
    def set_aside(self) -> Path: ...


class Flusher:
    """One per worker process, beside its journal."""

    def __init__(self, journal: Journal, database: Database, usage: Usage, settings: UsageSettings) -> None:
        self._journal = journal
        self._database = database
        self._usage = usage
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self._down = False
        self.batches = 0  # written so far
        self._lock = asyncio.Lock()  # two concurrent rounds would write the same segment twice

    def start(self) -> None:
        """Begin, with the segments of dead workers."""
        self._task = asyncio.create_task(self._run(), name="usage-flusher")

    async def close(self) -> None:
        """Write the remaining segments. The next worker that starts with this folder takes over the rest."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._journal.finish_current()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SHUTDOWN_TIMEOUT):
                await self.round()
        if self._journal.finished:
            _log.warning("usage_not_flushed", segments=len(self._journal.finished))

    async def round(self) -> None:
        """Write finished segments and prepare the next one. An outage is logged once; failures are retried."""
        async with self._lock:
            self._journal.segment_needed.clear()
            await asyncio.to_thread(self._journal.prepare)
            await self._flush()
            if self._journal.full:
                await asyncio.to_thread(self._journal.prepare)
            self._journal.write_buffered()

    async def _flush(self) -> None:
        try:
            await self._flush_own()
            await self._flush_abandoned()
        except Unavailable as error:
            if not self._down:
                _log.warning("usage_flush_unavailable", error=error.detail)
            self._down = True
        except Exception as error:  # noqa: BLE001 - no error may end the flusher
            _log.error("usage_flush_failed", error=f"{type(error).__name__}: {error}")
        else:
            self._down = False

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            if time.monotonic() >= due:
                self._journal.finish_current()
                due = time.monotonic() + self._settings.flush_seconds
            await self.round()
            await self._rest(due - time.monotonic())

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, _RETRY) if self._journal.full else seconds):
                await self._journal.segment_needed.wait()

    async def _flush_own(self) -> None:
        for segment in tuple(self._journal.finished):
            reading = await self._applied(segment)
            if reading is not None:
                self._journal.finished.remove(segment)
                await self._finish(segment, reading)

    async def _flush_abandoned(self) -> None:
        taken = await asyncio.to_thread(take_abandoned, self._settings.folder, _MAX_ABANDONED)
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
        """The counts that PostgreSQL has stored; None when it refused them, which must not delay other segments."""
        reading = await asyncio.to_thread(segment.read)
        try:
            if reading.counts:
                batch = await asyncio.to_thread(reading.batch)
                async with self._database.control() as session:
                    await self._usage.apply(session, batch)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - logged, kept and retried
            reason = f"{type(error).__name__}: {error}"
            _log.error("usage_batch_refused", segment=segment.name.file, error=reason)
            return None
        self.batches += 1
        return reading

    async def _finish(self, segment: _Finished, reading: Reading) -> None:
        """Discard it in a thread, since deleting a file may wait for the disk."""
        await asyncio.to_thread(_discard, segment, reading)


def _discard(segment: _Finished, reading: Reading) -> None:
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
