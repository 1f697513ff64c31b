"""Events are numbered behind the commits: without gaps, without a number for what is not committed, and only once."""

import asyncio
import contextlib
import random

import psycopg
import pytest
from psycopg import sql

from tenants.audit.origin import SYSTEM
from tenants.crud import service
from tenants.database.sessions import Database
from tenants.events.service import number_events
from tenants.identifiers import TenantId, new_id
from tenants.resources.registry import load_registry
from tests.fixtures.events import events_of, queued_jobs, sequences_of
from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

_CONTACTS = load_registry("examples.crm.resources")["contacts"]


async def _write(gateway: Gateway, count: int = 1) -> None:
    work = gateway.services.database.statements(gateway.acme.ref)
    for number in range(count):
        await service.create(work, _CONTACTS, {"name": f"contact {number}"}, origin=SYSTEM)


async def _number(gateway: Gateway, batch: int = 2000) -> int:
    return await number_events(gateway.services.database, gateway.acme.ref.id, batch)


async def test_numbers_follow_the_order_of_the_changes(gateway: Gateway) -> None:
    """From 1 on, with no gap between runs."""
    await _write(gateway, 5)
    assert await _number(gateway) == 5
    await _write(gateway, 3)
    assert await _number(gateway) == 3
    assert await _number(gateway) == 0
    events = events_of(gateway.urls, gateway.acme.ref)
    assert [event["sequence"] for event in events] == list(range(1, 9))
    assert [event["created_at"] for event in events] == sorted(event["created_at"] for event in events)
    assert sequences_of(gateway.urls, gateway.globex.ref) == []


async def test_an_event_that_is_not_committed_gets_no_number(gateway: Gateway) -> None:
    """A change that commits later gets a later number, though it was made first; one that is undone leaves no gap."""
    database = gateway.services.database
    async with database.tenant(gateway.acme.ref) as slow:
        first = await service.create(slow, _CONTACTS, {"name": "first"}, origin=SYSTEM)
        await _undo(database, gateway)
        await _write(gateway, 2)
        assert await _number(gateway) == 2
    assert await _number(gateway) == 1
    events = events_of(gateway.urls, gateway.acme.ref)
    assert [event["sequence"] for event in events] == [1, 2, 3]
    assert events[2]["object_id"] == first.id
    assert events[2]["created_at"] < events[0]["created_at"]


async def _undo(database: Database, gateway: Gateway) -> None:
    with contextlib.suppress(ZeroDivisionError):
        async with database.tenant(gateway.acme.ref) as session:
            await service.create(session, _CONTACTS, {"name": "undone"}, origin=SYSTEM)
            raise ZeroDivisionError


async def test_of_two_changes_of_one_object_the_later_has_the_later_number(gateway: Gateway) -> None:
    """The second transaction began first, and waited for the row: the clock is read after the wait."""
    await _write(gateway)
    row = events_of(gateway.urls, gateway.acme.ref)[0]["object_id"]
    database = gateway.services.database
    async with database.tenant(gateway.acme.ref) as waiting:
        await service.read(waiting, _CONTACTS, row)  # begins
        async with database.tenant(gateway.acme.ref) as holding:
            await service.update(holding, _CONTACTS, row, {"company": "first"}, None, origin=SYSTEM)
            late = asyncio.create_task(
                service.update(waiting, _CONTACTS, row, {"company": "second"}, None, origin=SYSTEM)
            )
            await asyncio.sleep(0.2)
            assert not late.done()
        await late
    await _number(gateway)
    _, first, second = events_of(gateway.urls, gateway.acme.ref)
    assert (first["after"]["company"], second["before"]["company"]) == ("first", "first")
    assert (second["sequence"], second["after"]["company"]) == (3, "second")


async def test_a_backlog_of_writes_takes_one_run(gateway: Gateway) -> None:
    """A run drops the queued jobs whose events it numbers, and those of no other tenant."""
    await _write(gateway, 200)
    other = gateway.services.database.statements(gateway.globex.ref)
    await service.create(other, _CONTACTS, {"name": "x"}, origin=SYSTEM)
    assert len(queued_jobs(gateway.urls)) == 201
    assert await _number(gateway, batch=64) == 200
    assert queued_jobs(gateway.urls) == [("outbox", "events.number", {"tenant": str(gateway.globex.ref.id)})]
    assert sequences_of(gateway.urls, gateway.acme.ref) == list(range(1, 201))


async def test_writers_and_runs_at_once_leave_no_gap_and_no_double(gateway: Gateway) -> None:
    """Eight writers, some of whom give up, and three runs without end; a reader by number misses nothing."""
    choice, done = random.Random(1), asyncio.Event()  # noqa: S311 - a run that can be repeated

    async def write() -> None:
        for _ in range(25):
            task = asyncio.create_task(_write(gateway))
            if choice.random() < 0.2:
                await asyncio.sleep(choice.uniform(0, 0.01))
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def number() -> None:
        while not done.is_set():
            await _number(gateway, batch=7)

    async def read() -> list[int]:
        seen: list[int] = []
        while not done.is_set():
            numbers = await asyncio.to_thread(sequences_of, gateway.urls, gateway.acme.ref)
            new = [each for each in numbers if each is not None and each > (seen[-1] if seen else 0)]
            seen += new
        return seen

    runs = [asyncio.create_task(number()) for _ in range(3)]
    reading = asyncio.create_task(read())
    await asyncio.gather(*(write() for _ in range(8)))
    done.set()
    await asyncio.gather(*runs)
    seen = await reading
    await _number(gateway)
    numbers = sequences_of(gateway.urls, gateway.acme.ref)
    assert len(numbers) > 100
    assert numbers == list(range(1, len(numbers) + 1))
    assert seen == list(range(1, len(seen) + 1))


async def test_a_tenant_that_is_gone_has_nothing_to_number(gateway: Gateway) -> None:
    """A job may outlive its tenant."""
    assert await number_events(gateway.services.database, TenantId(new_id())) == 0


async def test_the_numbers_of_events_that_are_deleted_are_not_given_again(gateway: Gateway) -> None:
    """The counter is a row of its own: retention may empty the table."""
    await _write(gateway, 3)
    await _number(gateway)
    with psycopg.connect(gateway.urls.owner) as owner:
        owner.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(gateway.acme.ref.schema, "tenantry_events")))
    await _write(gateway)
    await _number(gateway)
    assert sequences_of(gateway.urls, gateway.acme.ref) == [4]
