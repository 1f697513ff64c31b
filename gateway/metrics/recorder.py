"""A worker's metrics: written to its files once a second, and combined with those of all workers for each scrape.

A warm request costs a few additions of plain numbers. prometheus-client's own counters take microseconds each in its
multiprocess mode, so values are written in the background, and the library combines the values of living and dead
workers (docs/decisions/0010).
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from gateway.metrics.metric import Metric, Sample
from gateway.metrics.process import ProcessSource
from gateway.metrics.worker_files import WorkerFiles, combine, totals

_INTERVAL = 1.0  # seconds; a killed worker loses what it counted since the last write
_PAGE_TTL = 1.0  # seconds for which a page is cached, so that frequent scrapes cost little

Source = Callable[[], Iterable[Sample]]

_log = structlog.get_logger(__name__)


class MetricsFolderUnusable(Exception):
    """The folder cannot be created or written. The worker must not start, since it could not be monitored."""


class Metrics:
    """One per worker process. Workers that are to be seen together share ``folder``; None is one of its own."""

    def __init__(self, folder: Path | None) -> None:
        self._given = folder
        self._sources: tuple[Source, ...] = ()
        self._process = ProcessSource()
        self._files: WorkerFiles  # from the start on
        self._stack = contextlib.ExitStack()
        self._lock = asyncio.Lock()  # a thread writes what the loop may not change meanwhile
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False
        self._page = b""
        self._page_made = float("-inf")

    async def start(self, sources: Iterable[Source]) -> None:
        """Begin to write samples of these sources, which are read on the event loop. Raises MetricsFolderUnusable."""
        self._sources = tuple(sources)
        try:
            folder = self._given or Path(self._stack.enter_context(TemporaryDirectory(prefix="tenantry-metrics-")))
            self._files = WorkerFiles(folder)
        except OSError as error:
            advice = f"Metrics cannot be written ({error}). Set TENANTRY_METRICS_FOLDER to a writable folder."
            raise MetricsFolderUnusable(advice) from error
        self._stack.callback(self._files.close)
        self._task = asyncio.create_task(self._run(), name="metrics")

    async def close(self) -> None:
        """Write the last values, for the other workers to report."""
        self._stopping.set()
        if self._task is not None:
            await self._task
        self._stack.close()

    async def page(self) -> bytes:
        """The values of all workers, in Prometheus's text format, at most a second old. Raises OSError."""
        # Shielded: a client that disconnects must not release the lock while a thread writes.
        return await asyncio.shield(self._fresh_page())

    async def totals(self, *metrics: Metric) -> list[dict[tuple[str, ...], float]]:
        """Of each of these metrics of kind SUM, the values over all living workers by labels, at most a second old.

        Raises OSError.
        """
        return await asyncio.to_thread(totals, self._files.folder, metrics)

    async def _fresh_page(self) -> bytes:
        async with self._lock:
            if time.monotonic() - self._page_made > _PAGE_TTL:
                await self._write_samples()
                self._page = await asyncio.to_thread(combine, self._files.folder)
                self._page_made = time.monotonic()
            return self._page

    async def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_INTERVAL):
                    await self._stopping.wait()
            async with self._lock:
                await self._write_samples()

    async def _write_samples(self) -> None:
        """A failure is logged once. Meanwhile scrapes return old values."""
        try:
            for source in self._sources:
                self._files.set(source())
            await asyncio.to_thread(self._write)
        except Exception as error:  # noqa: BLE001 - a full disk or a failing source must not stop the task
            if not self._failing:
                _log.error("metrics_not_written", error=f"{type(error).__name__}: {error}")
            self._failing = True
        else:
            self._failing = False

    def _write(self) -> None:
        self._files.set(self._process.samples())
        self._files.write()
