"""The job app of a worker process: procrastinate over connections that are the control role from their first moment."""

from dataclasses import dataclass

from procrastinate import App
from procrastinate.psycopg_connector import PsycopgConnector
from psycopg_pool import AsyncConnectionPool
from sqlalchemy.engine import make_url

from tenants.database.engine import connect_arguments
from tenants.database.names import CONTROL_ROLE, CONTROL_SCHEMA
from tenants.settings import DatabaseSettings

_OPENING = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class JobSettings:
    """How a worker process works."""

    concurrency: int = 4  # jobs at a time
    heartbeat: float = 2.0  # seconds between two signs of life
    dead_after: float = 10.0  # seconds without one, after which another worker takes over a worker's jobs
    polling: float = 0.5  # seconds between two looks for due jobs that no NOTIFY announces
    farewell: float = 10.0  # seconds that running jobs get when the worker is told to stop


class _ImpatientPool(AsyncConnectionPool):
    """Gives up opening soon: whoever opens it tries again, and so is back soon after an outage (OP3).

    Left alone the pool would try at growing intervals for half a minute.
    """

    async def open(self, wait: bool = False, timeout: float = _OPENING) -> None:  # noqa: ASYNC109, FBT001, FBT002 - the library's signature
        await super().open(wait, timeout)


def make_job_app(database: DatabaseSettings, settings: JobSettings) -> App:
    """An app without tasks: each feature adds its own. Connects when it is opened, not before.

    A role that was taken at connecting is safe here, and only here: these connections never serve a tenant.
    """
    arguments = connect_arguments(database)
    arguments["options"] = f"{arguments['options']} -c search_path={CONTROL_SCHEMA} -c role={CONTROL_ROLE}"
    arguments["application_name"] = "tenantry-jobs"
    connector = PsycopgConnector(
        conninfo=make_url(database.url).set(drivername="postgresql").render_as_string(hide_password=False),
        kwargs=arguments,
        min_size=1,
        max_size=settings.concurrency + 1,
        timeout=database.acquire_timeout,
        pool_factory=_ImpatientPool,
    )
    return App(
        connector=connector,
        worker_defaults={
            "concurrency": settings.concurrency,
            "update_heartbeat_interval": settings.heartbeat,
            "stalled_worker_timeout": settings.dead_after,
            "fetch_job_polling_interval": settings.polling,
            "shutdown_graceful_timeout": settings.farewell,
            "delete_jobs": "successful",  # what failed stays to be seen; what succeeded says so in its own table
            "install_signal_handlers": False,
        },
    )
