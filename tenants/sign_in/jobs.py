"""The jobs that delete old sessions, and what limits no sign-in any more, as procrastinate runs them."""

from procrastinate import App

from tenants.database.sessions import Database
from tenants.sign_in.sessions import forget_old_sessions
from tenants.sign_in_limits.attempts import forget_old_limits

FORGET_TASK = "sign_in.forget"
FORGET_SESSIONS_TASK = "sign_in.forget_sessions"
EVERY_FIVE_MINUTES = "*/5 * * * *"
EVERY_HOUR = "29 * * * *"


def add_sign_in_jobs(
    app: App, database: Database, forget_at: str = EVERY_FIVE_MINUTES, forget_sessions_at: str = EVERY_HOUR
) -> None:
    """Register the jobs."""

    @app.periodic(cron=forget_at, periodic_id=FORGET_TASK)
    @app.task(name=FORGET_TASK, queueing_lock=FORGET_TASK, lock=FORGET_TASK)
    async def forget(timestamp: int) -> None:  # noqa: ARG001 - procrastinate passes the scheduled time
        await forget_old_limits(database)

    @app.periodic(cron=forget_sessions_at, periodic_id=FORGET_SESSIONS_TASK)
    @app.task(name=FORGET_SESSIONS_TASK, queueing_lock=FORGET_SESSIONS_TASK, lock=FORGET_SESSIONS_TASK)
    async def forget_sessions(timestamp: int) -> None:  # noqa: ARG001 - as above
        await forget_old_sessions(database)
