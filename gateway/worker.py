"""The job worker of a deployment: the features, and their jobs."""

import asyncio
import signal
from collections.abc import Callable

import structlog

from gateway.features import Features, add_jobs, build_features, learn_routes
from gateway.logs.setup import configure_logging
from gateway.settings import Mode, Settings
from tenants.errors import Unavailable
from tenants.jobs.app import JobSettings, make_job_app
from tenants.jobs.worker import run_jobs

_ROUTES_EVERY = 5.0  # seconds

_log = structlog.get_logger(__name__)


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
    following = asyncio.create_task(_follow_routes(features), name="follow-routes")
    try:
        await run_jobs(app, jobs, stop, ready)
    finally:
        following.cancel()
        await asyncio.wait([following])
        await features.close()


async def _follow_routes(features: Features) -> None:
    """Know the permissions that routes introduce, a few seconds late: jobs take rights away, and grant none."""
    while True:
        try:
            await learn_routes(features)
        except Unavailable as error:
            _log.warning("routes_not_read", error=error.detail)
        await asyncio.sleep(_ROUTES_EVERY)
