"""A worker's metrics: poured into its files once a second, and gathered from those of all workers when asked for.

A warm request costs a few additions of plain numbers. prometheus-client's own counters take microseconds each in its
mode for several processes; so they are written in the background, and what the library does is to gather: it knows how
the values of living and dead workers become one.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from gateway.metrics.errors import MetricsFolderUnusable
from gateway.metrics.gathering import gather
from gateway.metrics.measure import Sample
from gateway.metrics.process import ProcessSource
from gateway.metrics.worker_files import WorkerFiles

_EVERY = 1.0  # seconds; what a killed worker counted since is lost
_REMEMBERED = 1.0  # seconds that a page stands, so that asking often costs little

Source = Callable[[], Iterable[Sample]]

_log = structlog.get_logger(__name__)


class Metrics:
    """One per worker process. Workers that are to be seen together share ``folder``; None is one of its own."""

    def __init__(self, folder: Path | None) -> None:
        self._given = folder
        self._sources: tuple[Source, ...] = ()
        self._process = ProcessSource()
        self._files: WorkerFiles  # from the start on
        self._stack = contextlib.ExitStack()
        self._one = asyncio.Lock()  # a thread writes what the loop may not change meanwhile
        self._told_to_stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False
        self._page = b""
        self._page_made = float("-inf")

    async def start(self, sources: Iterable[Source]) -> None:
        """Begin to pour from these, which are read on the event loop. Raises MetricsFolderUnusable."""
        self._sources = tuple(sources)
        try:
            folder = self._given or Path(self._stack.enter_context(TemporaryDirectory(prefix="tenantry-metrics-")))
            self._files = WorkerFiles(folder)
        except OSError as error:
            advice = f"metrics cannot be kept ({error}): set TENANTRY_METRICS_FOLDER to a folder that can be written"
            raise MetricsFolderUnusable(advice) from error
        self._stack.callback(self._files.close)
        self._task = asyncio.create_task(self._run(), name="metrics")

    async def close(self) -> None:
        """Pour what is left, for the others to show."""
        self._told_to_stop.set()
        if self._task is not None:
            await self._task
        self._stack.close()

    async def page(self) -> bytes:
        """The values of all workers, in Prometheus's text format, at most a second old. Raises OSError."""
        return await asyncio.shield(self._made())  # a client that leaves must not open the lock while a thread writes

    async def _made(self) -> bytes:
        async with self._one:
            if time.monotonic() - self._page_made > _REMEMBERED:
                await self._pour()
                self._page = await asyncio.to_thread(gather, self._files.folder)
                self._page_made = time.monotonic()
            return self._page

    async def _run(self) -> None:
        while not self._told_to_stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EVERY):
                    await self._told_to_stop.wait()
            async with self._one:
                await self._pour()

    async def _pour(self) -> None:
        """A failure is logged once: others see old values meanwhile, and requests are served."""
        try:
            for source in self._sources:
                self._files.set(source())
            await asyncio.to_thread(self._write)
        except Exception as error:  # noqa: BLE001 - a full disk, or a fault of a source: pouring goes on
            if not self._failing:
                _log.error("metrics_not_written", error=f"{type(error).__name__}: {error}")
            self._failing = True
        else:
            self._failing = False

    def _write(self) -> None:
        self._files.set(self._process.samples())
        self._files.write()
