"""The job that gives notices, as procrastinate runs it."""

from datetime import UTC, datetime

from procrastinate import App

from tenants.jobs.retries import BackOff
from tenants.notices.service import Notices

NOTICE_TASK = "notices.keys"
EVERY_DAY = "11 6 * * *"
_BACK_OFF = BackOff(first=60.0, attempts=6)


def add_notice_jobs(app: App, notices: Notices, notice_at: str = EVERY_DAY) -> None:
    """Register the job. A repeated one has the time of the first, and gives the notices that are left."""

    @app.periodic(cron=notice_at, periodic_id=NOTICE_TASK)
    @app.task(name=NOTICE_TASK, queueing_lock=NOTICE_TASK, lock=NOTICE_TASK, retry=_BACK_OFF)
    async def notice(timestamp: int) -> None:
        await notices.run(datetime.fromtimestamp(timestamp, UTC))
