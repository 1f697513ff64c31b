"""The jobs of single sign-on, as procrastinate runs them."""

from procrastinate import App

from tenants.database.sessions import Database
from tenants.sso import repository
from tenants.sso.proofs import Domains

RECHECK_TASK, FORGET_TASK = "sso.recheck_domains", "sso.forget_flows"
DAILY = "41 3 * * *"
EVERY_FIVE_MINUTES = "*/5 * * * *"


def add_sso_jobs(app: App, database: Database, domains: Domains) -> None:
    """Register the jobs."""

    @app.periodic(cron=DAILY, periodic_id=RECHECK_TASK)
    @app.task(name=RECHECK_TASK, queueing_lock=RECHECK_TASK, lock=RECHECK_TASK)
    async def recheck(timestamp: int) -> None:  # noqa: ARG001 - procrastinate passes the scheduled time
        await domains.recheck()

    @app.periodic(cron=EVERY_FIVE_MINUTES, periodic_id=FORGET_TASK)
    @app.task(name=FORGET_TASK, queueing_lock=FORGET_TASK, lock=FORGET_TASK)
    async def forget(timestamp: int) -> None:  # noqa: ARG001 - as above
        async with database.control() as session:
            await repository.delete_old_flows(session)
