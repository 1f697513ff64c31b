"""The job that deletes expired challenges, as procrastinate runs it."""

from procrastinate import App

from tenants.database.sessions import Database
from tenants.mfa import repository
from tenants.mfa.enrolment import PENDING_LIFE

FORGET_TASK = "mfa.forget"
EVERY_FIVE_MINUTES = "*/5 * * * *"


async def forget_expired(database: Database) -> None:
    """Delete expired challenges, and authenticator apps that were not confirmed in time."""
    async with database.control() as session:
        await repository.remove_expired(session, PENDING_LIFE)


def add_mfa_jobs(app: App, database: Database, forget_at: str = EVERY_FIVE_MINUTES) -> None:
    """Register the job."""

    @app.periodic(cron=forget_at, periodic_id=FORGET_TASK)
    @app.task(name=FORGET_TASK, queueing_lock=FORGET_TASK, lock=FORGET_TASK)
    async def forget(timestamp: int) -> None:  # noqa: ARG001 - procrastinate passes the scheduled time
        await forget_expired(database)
