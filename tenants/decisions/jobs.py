"""The job that deletes old counts of decisions, as procrastinate runs it."""

from procrastinate import App

from tenants.database.sessions import Database
from tenants.decisions import repository

FORGET_TASK = "decisions.forget"
DAILY = "17 2 * * *"
_MOST = 5_000  # rows of one transaction


def add_decision_jobs(app: App, database: Database, forget_at: str = DAILY) -> None:
    """Register the job."""

    @app.periodic(cron=forget_at, periodic_id=FORGET_TASK)
    @app.task(name=FORGET_TASK, queueing_lock=FORGET_TASK, lock=FORGET_TASK)
    async def forget(timestamp: int) -> None:  # noqa: ARG001 - procrastinate passes the scheduled time
        await forget_old_decisions(database)


async def forget_old_decisions(database: Database) -> None:
    """Delete rows whose principal has not used the permission for eight days."""
    deleted = _MOST
    while deleted == _MOST:
        async with database.control() as session:
            deleted = await repository.delete_old(session, _MOST)
