"""The job that sends mail, as procrastinate runs it."""

from dataclasses import dataclass

import structlog
from procrastinate import App, RetryDecision
from procrastinate.jobs import Job

from tenants.jobs.retries import BackOff
from tenants.mail.port import MailRefused
from tenants.mail.service import SEND_TASK, Mail

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MailBackOff(BackOff):
    """Retries for some two days, so that a mail server may be down over a weekend night; never after a refusal."""

    first: float = 5.0  # seconds
    longest: float = 1800.0  # seconds
    attempts: int = 100

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, MailRefused):
            return None
        return BackOff.get_retry_decision(self, exception=exception, job=job)


def add_mail_jobs(app: App, mail: Mail, back_off: BackOff = MailBackOff()) -> None:
    """Add the job. A message that fails for good stays in the table of jobs, with its error in the log."""

    @app.task(name=SEND_TASK, retry=back_off)
    async def send_mail(message_id: str, sealed: str) -> None:
        try:
            await mail.deliver(message_id, sealed)
        except Exception as error:
            _log.warning("mail_not_sent", message_id=message_id, error=f"{type(error).__name__}: {error}")
            raise
