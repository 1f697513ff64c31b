"""The job that sends a link to a person who has forgotten their password, as procrastinate runs it."""

from procrastinate import App

from tenants.jobs.retries import BackOff
from tenants.password_changes.service import FORGOT_TASK, PasswordChanges


def add_password_jobs(app: App, changes: PasswordChanges, back_off: BackOff = BackOff()) -> None:  # noqa: B008 - frozen
    """Register the job. Run twice, it sends two messages, of which the later one has the link that works."""

    @app.task(name=FORGOT_TASK, retry=back_off)
    async def send_link(request_id: str, sealed: str) -> None:
        await changes.send_link(request_id, sealed)
