"""The job worker of a deployment: the features, and their jobs."""

import asyncio
import signal
from collections.abc import Callable

from gateway.features import add_jobs, build_features
from gateway.logs.setup import configure_logging
from gateway.settings import Mode, Settings
from tenants.jobs.app import JobSettings, make_job_app
from tenants.jobs.worker import run_jobs


def run_worker(settings: Settings, jobs: JobSettings, ready: Callable[[], None] = lambda: None) -> None:
    """Run jobs until SIGTERM or SIGINT, then finish those that run. ``ready`` is called when the queue is open."""
    configure_logging(level=settings.log_level, readable=settings.mode is Mode.DEVELOPMENT)
    asyncio.run(_work(settings, jobs, ready))


async def _work(settings: Settings, jobs: JobSettings, ready: Callable[[], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app, features = make_job_app(settings.database, jobs), build_features(settings)
    add_jobs(app, features)
    try:
        await run_jobs(app, jobs, stop, ready)
    finally:
        await features.close()
