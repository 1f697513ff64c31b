"""The jobs of sign-up, as procrastinate runs them."""

from uuid import UUID

from procrastinate import App

from tenants.database.sessions import Database
from tenants.jobs.retries import BackOff
from tenants.sign_up.service import SEND_TASK, SignUp, forget_expired

FORGET_TASK = "sign_up.forget"
EVERY_TEN_MINUTES = "*/10 * * * *"


def add_sign_up_jobs(
    app: App,
    sign_up: SignUp,
    database: Database,
    back_off: BackOff = BackOff(),  # noqa: B008 - frozen
    forget_at: str = EVERY_TEN_MINUTES,
) -> None:
    """Register both jobs. Run twice, the first sends two messages, of which the later one has the link that works."""

    @app.task(name=SEND_TASK, retry=back_off)
    async def send(sign_up_id: str) -> None:
        await sign_up.send(UUID(sign_up_id))

    @app.periodic(cron=forget_at, periodic_id=FORGET_TASK)
    @app.task(name=FORGET_TASK, queueing_lock=FORGET_TASK, lock=FORGET_TASK)
    async def forget(timestamp: int) -> None:  # noqa: ARG001 - procrastinate passes the scheduled time
        await forget_expired(database)
