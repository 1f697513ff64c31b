"""The job that deletes what limits no sign-in any more, as procrastinate runs it."""

from procrastinate import App

from tenants.database.sessions import Database
from tenants.sign_in.attempts import forget_old_limits

FORGET_TASK = "sign_in.forget"
EVERY_FIVE_MINUTES = "*/5 * * * *"


def add_sign_in_jobs(app: App, database: Database, forget_at: str = EVERY_FIVE_MINUTES) -> None:
    """Register the job."""

    @app.periodic(cron=forget_at, periodic_id=FORGET_TASK)
    @app.task(name=FORGET_TASK, queueing_lock=FORGET_TASK, lock=FORGET_TASK)
    async def forget(timestamp: int) -> None:  # noqa: ARG001 - procrastinate passes the scheduled time
        await forget_old_limits(database)
