"""The job worker of a deployment, put together: what ``gateway/app.py`` is for requests."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack

from billing.payments.stripe_payments import StripePayments
from billing.stripe_events.applier import EventApplier
from billing.stripe_events.jobs import add_stripe_jobs
from billing.stripe_events.reconciler import Reconciler
from gateway.logs.setup import configure_logging
from gateway.settings import Mode, Settings
from tenants.database.engine import open_engine
from tenants.database.sessions import Database
from tenants.events.jobs import add_event_jobs
from tenants.jobs.app import JobSettings, make_job_app
from tenants.jobs.worker import run_jobs


def run_worker(settings: Settings, jobs: JobSettings, ready: Callable[[], None] = lambda: None) -> None:
    """Do jobs until SIGTERM or SIGINT; those that run are finished. ``ready`` is called when the queue is open."""
    configure_logging(level=settings.log_level, readable=settings.mode is Mode.DEVELOPMENT)
    asyncio.run(_work(settings, jobs, ready))


async def _work(settings: Settings, jobs: JobSettings, ready: Callable[[], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app = make_job_app(settings.database, jobs)
    async with AsyncExitStack() as stack:
        database = Database(open_engine(settings.database), settings.database)
        stack.push_async_callback(database.close)
        add_event_jobs(app, database)
        if settings.stripe is not None:
            payments = StripePayments(settings.stripe)
            stack.push_async_callback(payments.close)
            applier = EventApplier(database, payments, settings.stripe)
            add_stripe_jobs(app, applier, Reconciler(database, payments, applier))
        await run_jobs(app, jobs, stop, ready)
