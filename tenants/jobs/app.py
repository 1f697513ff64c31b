"""The job app of a worker process: procrastinate over connections that have the control role from the start."""

from dataclasses import dataclass

from procrastinate import App
from procrastinate.psycopg_connector import PsycopgConnector
from psycopg_pool import AsyncConnectionPool
from sqlalchemy.engine import make_url

from tenants.database.engine import connect_arguments
from tenants.database.names import CONTROL_ROLE, CONTROL_SCHEMA
from tenants.settings import DatabaseSettings

_OPEN_TIMEOUT = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class JobSettings:
    """Settings of a worker process."""

    concurrency: int = 4  # jobs at a time
    heartbeat: float = 2.0  # seconds between two heartbeats
    dead_after: float = 10.0  # seconds without one, after which another worker takes over its jobs
    polling: float = 0.5  # seconds between two looks for due jobs that no NOTIFY announces
    shutdown_timeout: float = 10.0  # seconds for running jobs to finish when the worker stops


class _FailFastPool(AsyncConnectionPool):
    """Fails soon when it cannot open: the worker retries, and so recovers soon after an outage (OP3).

    By default the pool would retry by itself, at growing intervals, for half a minute.
    """

    async def open(self, wait: bool = False, timeout: float = _OPEN_TIMEOUT) -> None:  # noqa: ASYNC109, FBT001, FBT002 - the library's signature
        await super().open(wait, timeout)


def make_job_app(database: DatabaseSettings, settings: JobSettings) -> App:
    """An app without tasks: each feature adds its own. Connects when it is opened.

    Setting the role when connecting is safe here, and only here: these connections never serve a tenant.
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
        pool_factory=_FailFastPool,
    )
    return App(
        connector=connector,
        worker_defaults={
            "concurrency": settings.concurrency,
            "update_heartbeat_interval": settings.heartbeat,
            "stalled_worker_timeout": settings.dead_after,
            "fetch_job_polling_interval": settings.polling,
            "shutdown_graceful_timeout": settings.shutdown_timeout,
            "delete_jobs": "successful",  # failed jobs stay for inspection
            "install_signal_handlers": False,
        },
    )
