"""The job of workload rules, as procrastinate runs it."""

from datetime import timedelta

from procrastinate import App

from tenants.database.sessions import Database
from tenants.workloads import repository

FORGET_TASK = "workloads.forget_tokens"
EVERY_TEN_MINUTES = "7-59/10 * * * *"
_GRACE = timedelta(minutes=5)


def add_workload_jobs(app: App, database: Database) -> None:
    """Register the job."""

    @app.periodic(cron=EVERY_TEN_MINUTES, periodic_id=FORGET_TASK)
    @app.task(name=FORGET_TASK, queueing_lock=FORGET_TASK, lock=FORGET_TASK)
    async def forget(timestamp: int) -> None:  # noqa: ARG001 - procrastinate passes the scheduled time
        async with database.control() as session:
            await repository.forget_expired(session, _GRACE)
