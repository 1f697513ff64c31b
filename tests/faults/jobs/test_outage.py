"""OP3: a worker survives an outage of PostgreSQL and continues by itself."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from gateway.development.postgres import LocalPostgres
from migrations.runner import migrate_control
from tenants.database.engine import open_engine
from tenants.database.sessions import Database
from tenants.errors import Unavailable
from tenants.jobs.app import JobSettings, make_job_app
from tenants.jobs.queue import JobQueue
from tenants.jobs.worker import run_jobs
from tenants.settings import DatabaseSettings
from tests.fixtures.billing import eventually_so
from tests.fixtures.databases import prepare
from tests.fixtures.servers import PostgresFactory

pytestmark = pytest.mark.anyio

_JOBS = JobSettings(heartbeat=0.5, dead_after=2.0, polling=0.5)


class Working:
    """A worker in this process, with one kind of job, which records its number."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.done: dict[int, float] = {}

    async def enqueue(self, number: int) -> bool:
        """Enqueue a job; False when the database is unavailable."""
        try:
            async with self.database.control() as session:
                await JobQueue().enqueue(session, "remember", number=number)
        except Unavailable:
            return False
        return True

    async def idle(self) -> bool:
        """Whether the queue is empty, of finished jobs too."""
        async with self.database.control() as session:
            return bool(await session.scalar(text("SELECT count(*) = 0 FROM procrastinate_jobs")))

    async def await_job(self, number: int, seconds: float) -> float:
        """When the job was done (monotonic). Raises TimeoutError."""

        async def done() -> bool:
            return number in self.done

        await eventually_so(done, seconds)
        return self.done[number]


@asynccontextmanager
async def _working(server: LocalPostgres) -> AsyncIterator[Working]:
    urls = prepare(server.superuser_url, "jobs")
    migrate_control(urls.owner)
    settings = DatabaseSettings(url=urls.gateway)
    app, stop = make_job_app(settings, _JOBS), asyncio.Event()
    working = Working(Database(open_engine(settings), settings))

    @app.task(name="remember")
    async def remember(number: int) -> None:
        working.done[number] = time.monotonic()

    worker = asyncio.create_task(run_jobs(app, _JOBS, stop))
    yield working
    stop.set()
    await worker
    await working.database.close()


@pytest.mark.parametrize("seconds", [1.0, 6.0])
async def test_jobs_continue_after_an_outage_of_postgresql(start_postgres: PostgresFactory, seconds: float) -> None:
    """OP3."""
    server = start_postgres()
    async with _working(server) as working:
        assert await working.enqueue(1)
        await working.await_job(1, 20.0)
        await eventually_so(working.idle, 10.0)  # nothing in hand: what would be is done twice, which is another test
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(server.start)
        back = time.monotonic()
        await eventually_so(lambda: working.enqueue(2), 10.0)
        assert await working.await_job(2, 20.0) - back < 5.0


async def test_a_job_is_enqueued_with_its_transaction_or_not_at_all(start_postgres: PostgresFactory) -> None:
    """A job of a transaction that is rolled back never runs."""
    async with _working(start_postgres()) as working:

        async def fail() -> None:
            async with working.database.control() as session:
                await JobQueue().enqueue(session, "remember", number=1)
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await fail()
        assert await working.enqueue(2)
        await working.await_job(2, 20.0)
        assert 1 not in working.done
