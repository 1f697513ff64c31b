"""The job that deletes invitations which ended long ago, as procrastinate runs it."""

from procrastinate import App

from tenants.database.sessions import Database
from tenants.invitations.service import forget_old_invitations

FORGET_TASK = "invitations.forget"
EVERY_DAY = "23 3 * * *"


def add_invitation_jobs(app: App, database: Database, forget_at: str = EVERY_DAY) -> None:
    """Register the job."""

    @app.periodic(cron=forget_at, periodic_id=FORGET_TASK)
    @app.task(name=FORGET_TASK, queueing_lock=FORGET_TASK, lock=FORGET_TASK)
    async def forget(timestamp: int) -> None:  # noqa: ARG001 - procrastinate passes the scheduled time
        await forget_old_invitations(database)
