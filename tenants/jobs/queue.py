"""Enqueues jobs in the caller's transaction: the change and its job are committed together or not at all."""

from typing import Any

import psycopg
from procrastinate.exceptions import ConnectorException
from procrastinate.manager import JobManager
from procrastinate.psycopg_connector import PsycopgConnector
from procrastinate.tasks import configure_task
from procrastinate.types import JSONValue

from tenants.database.sessions import ControlSession


class JobQueue:
    """Knows tasks by name only, so that the code that enqueues a job does not depend on the code that runs it."""

    def __init__(self) -> None:
        # Never opened: jobs are written over the connection of the caller's session.
        self._manager = JobManager(PsycopgConnector())

    async def enqueue(self, session: ControlSession, task: str, **arguments: JSONValue) -> int:
        """Write the job; the caller's commit makes it visible, and wakes a worker. Returns the job's number."""
        connection = await _driver_connection(session)
        deferrer = configure_task(name=task, job_manager=self._manager, connection=connection)
        try:
            return await deferrer.defer_async(**arguments)
        except ConnectorException as error:
            # The driver's own error distinguishes outages from programming errors; the library's wrapper does not.
            raise error.__cause__ or error from None


async def _driver_connection(session: ControlSession) -> psycopg.AsyncConnection[Any]:
    raw = (await (await session.connection()).get_raw_connection()).driver_connection
    if not isinstance(raw, psycopg.AsyncConnection):
        raise TypeError("the engine does not run on psycopg")
    return raw
