"""The job that numbers events, as procrastinate knows it."""

from uuid import UUID

from procrastinate import App

from tenants.database.sessions import Database
from tenants.events.service import NUMBER_TASK, number_events
from tenants.identifiers import TenantId
from tenants.jobs.repository import OUTBOX
from tenants.jobs.retries import BackOff


def add_event_jobs(app: App, database: Database, back_off: BackOff = BackOff()) -> None:  # noqa: B008 - frozen
    """Register the job."""

    @app.task(name=NUMBER_TASK, queue=OUTBOX, retry=back_off)
    async def number(tenant: str) -> None:
        await number_events(database, TenantId(UUID(tenant)))
