"""Runs jobs until it is stopped, through outages of the database and crashes of other workers.

A killed worker leaves its job marked as running. So every worker looks for jobs whose worker sends no heartbeat, and
requeues them: a job runs at least once and is never lost (SI5), and must be idempotent.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import psycopg
import structlog
from procrastinate import App
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status

from tenants.jobs.app import JobSettings

_MAX_ATTEMPTS = 25  # a job that crashes its worker is not retried for ever
_PAUSE = 0.5  # seconds before the next attempt to connect

_log = structlog.get_logger(__name__)


async def run_jobs(
    app: App, settings: JobSettings, stop: asyncio.Event, ready: Callable[[], None] = lambda: None
) -> None:
    """Run jobs until ``stop`` is set, then let running jobs finish. ``ready`` is called whenever the queue is open."""
    while not stop.is_set():
        try:
            await _work(app, settings, stop, ready)
        except (ConnectorException, psycopg.Error, OSError) as error:
            _log.warning("job_worker_lost_database", error=f"{type(error).__name__}: {error.__cause__ or error}")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE):
                await stop.wait()


async def _work(app: App, settings: JobSettings, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    try:
        await app.open_async()
        ready()
        await _first_of(stop.wait(), _rescue(app, settings), app.run_worker_async())
    finally:
        await app.close_async()  # also when opening failed: a partly opened pool counts as open


async def _first_of(*work: Coroutine[Any, Any, object]) -> None:
    """Run all until one ends, then cancel the others. Raises the first failure of any."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def _rescue(app: App, settings: JobSettings) -> None:
    while True:
        await rescue_stalled(app, settings.dead_after)
        await asyncio.sleep(settings.dead_after / 2)


async def rescue_stalled(app: App, dead_after: float) -> int:
    """Requeue the jobs of workers without a heartbeat for that many seconds; how many there were."""
    stalled = list(await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=dead_after))
    for job in stalled:
        await _requeue(app, job)
    return len(stalled)


async def _requeue(app: App, job: Job) -> None:
    exhausted = job.attempts >= _MAX_ATTEMPTS
    _log.warning("stalled_job", job=job.id, task=job.task_name, attempts=job.attempts, failed=exhausted)
    try:
        if exhausted:
            await app.job_manager.finish_job(job, status=Status.FAILED, delete_job=False)
        else:
            await app.job_manager.retry_job(job, retry_at=datetime.now(UTC))
    except ConnectorException as error:
        if not isinstance(error.__cause__, psycopg.errors.RaiseException):  # another worker has requeued it
            raise
