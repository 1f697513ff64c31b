"""The job that deletes links which expired long ago, as procrastinate runs it."""

from procrastinate import App

from tenants.database.sessions import Database
from tenants.links.service import forget_old_links

FORGET_TASK = "links.forget"
EVERY_HOUR = "17 * * * *"


def add_link_jobs(app: App, database: Database, forget_at: str = EVERY_HOUR) -> None:
    """Register the job."""

    @app.periodic(cron=forget_at, periodic_id=FORGET_TASK)
    @app.task(name=FORGET_TASK, queueing_lock=FORGET_TASK, lock=FORGET_TASK)
    async def forget(timestamp: int) -> None:  # noqa: ARG001 - procrastinate passes the scheduled time
        await forget_old_links(database)
