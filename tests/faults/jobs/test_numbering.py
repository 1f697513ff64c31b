"""A worker that is killed while it numbers events leaves no half: another one finishes, without a gap."""

import asyncio

import psycopg
import pytest

from tenants.audit.origin import SYSTEM
from tenants.crud import service
from tenants.resources.registry import load_registry
from tests.fixtures.billing import eventually_so
from tests.fixtures.deployment import Deployment
from tests.fixtures.events import queued_jobs, sequences_of
from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

_CONTACTS = load_registry("examples.crm.resources")["contacts"]
_WRITES = 50


async def _write(gateway: Gateway, count: int) -> None:
    work = gateway.services.database.statements(gateway.acme.ref)
    for _ in range(count):
        await service.create(work, _CONTACTS, {"name": "Ada"}, origin=SYSTEM)


async def _until_numbered(gateway: Gateway, count: int) -> None:
    async def numbered() -> bool:
        numbers = await asyncio.to_thread(sequences_of, gateway.urls, gateway.acme.ref)
        return numbers == list(range(1, count + 1))

    await eventually_so(numbered, 30.0, pause=0.05)


async def test_a_worker_numbers_what_is_written(gateway: Gateway, deployment: Deployment) -> None:
    """Without billing as well: every worker opens the database; and the queue is empty afterwards."""
    settings = gateway.services.settings
    assert settings.stripe is None
    await asyncio.to_thread(deployment.worker, settings)
    await _write(gateway, _WRITES)
    await _until_numbered(gateway, _WRITES)

    async def empty() -> bool:
        return not await asyncio.to_thread(queued_jobs, gateway.urls)

    await eventually_so(empty, 10.0, pause=0.05)


async def test_a_worker_killed_in_the_middle_of_numbering_leaves_no_gap(
    gateway: Gateway, deployment: Deployment
) -> None:
    """SI5: the transaction of the dead is undone whole, the jobs that it dropped included, and done again."""
    settings = gateway.services.settings
    async with await psycopg.AsyncConnection.connect(gateway.urls.superuser) as holder:
        await holder.execute("INSERT INTO tenantry.event_counters VALUES (%s)", (gateway.acme.ref.id,))
        await holder.commit()
        await _write(gateway, _WRITES)
        await holder.execute("SELECT FROM tenantry.event_counters FOR UPDATE")  # the run stops here
        victim = await asyncio.to_thread(deployment.worker, settings)
        await eventually_so(lambda: _blocked(gateway), 20.0)
        victim.kill()
        await asyncio.sleep(0.2)
        assert len(queued_jobs(gateway.urls)) >= _WRITES - 4  # but what the worker has in hand, four jobs at a time
    assert sequences_of(gateway.urls, gateway.acme.ref) == [None] * _WRITES
    await asyncio.to_thread(deployment.worker, settings)
    await _write(gateway, 3)
    await _until_numbered(gateway, _WRITES + 3)


async def _blocked(gateway: Gateway) -> bool:
    query = (
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%number_events%'"
        " AND datname = current_database()"
    )
    async with await psycopg.AsyncConnection.connect(gateway.urls.superuser) as superuser:
        row = await (await superuser.execute(query)).fetchone()
    return bool(row and row[0])
