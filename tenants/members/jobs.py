"""The job that revokes the keys of people who have left, as procrastinate knows it."""

from uuid import UUID

from procrastinate import App

from tenants.database.sessions import Database
from tenants.identifiers import TenantId
from tenants.jobs.repository import OUTBOX
from tenants.jobs.retries import BackOff
from tenants.members.keys import END_TASK, MemberKeys


def add_member_jobs(app: App, database: Database, keys: MemberKeys, back_off: BackOff = BackOff()) -> None:  # noqa: B008 - frozen
    """Register the job."""

    @app.task(name=END_TASK, queue=OUTBOX, retry=back_off)
    async def end_keys(tenant: str) -> None:
        await keys.end_of_former_members(database.control, TenantId(UUID(tenant)))
