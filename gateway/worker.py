"""The process that works off jobs: the gateway's second composition root."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable

import structlog
from procrastinate import App

from billing.payments.stripe_payments import StripePayments
from billing.settings import StripeSettings
from billing.stripe_events.applier import EventApplier
from billing.stripe_events.jobs import add_stripe_jobs
from billing.stripe_events.reconciler import Reconciler
from gateway.settings import Settings
from tenants.database.engine import open_engine
from tenants.database.sessions import Database
from tenants.jobs.app import JobSettings, make_job_app
from tenants.jobs.worker import run_jobs

_STOP = (signal.SIGTERM, signal.SIGINT)

_log = structlog.get_logger(__name__)


def _announce() -> None:
    _log.info("job_worker_ready")


async def serve_jobs(
    settings: Settings,
    jobs: JobSettings = JobSettings(),  # noqa: B008 - frozen
    ready: Callable[[], None] = _announce,
) -> None:
    """Work off jobs until SIGTERM or SIGINT; a job in hand is finished first. An outage of PostgreSQL is waited out.

    ``ready`` is called whenever the queue is open: at start, and after an outage.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _STOP:
        loop.add_signal_handler(number, stop.set)
    try:
        async with job_app(settings, jobs) as app:
            await run_jobs(app, jobs, stop, ready)
    finally:
        for number in _STOP:
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def job_app(settings: Settings, jobs: JobSettings) -> AsyncIterator[App]:
    """The app with every feature's jobs, over the services that they need."""
    app = make_job_app(settings.database, jobs)
    async with contextlib.AsyncExitStack() as stack:
        database = Database(open_engine(settings.database), settings.database)
        stack.push_async_callback(database.close)
        if settings.stripe is not None:
            await _add_stripe(app, database, settings.stripe, stack)
        yield app


async def _add_stripe(app: App, database: Database, settings: StripeSettings, stack: contextlib.AsyncExitStack) -> None:
    payments = StripePayments(settings)
    stack.push_async_callback(payments.close)
    applier = EventApplier(database, payments, settings)
    add_stripe_jobs(app, applier, Reconciler(database, payments, applier))
