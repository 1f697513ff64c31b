"""How often the database is queried for credentials, and how callers resume."""

import asyncio
import time
from collections import Counter

import pytest

from gateway.identity import credential_loader
from tests.unit.identity.loader_harness import LoaderHarness, SlowDatabase, settle

pytestmark = pytest.mark.anyio


async def test_a_slow_flood_shares_few_queries() -> None:
    """Without pacing, each credential would cost a transaction of its own."""
    database = SlowDatabase()
    database.open.set()
    harness = LoaderHarness(database.load)
    began, loads = time.monotonic(), []
    for number in range(500):
        loads.append(harness.start(str(number), f"sender {number}"))
        await asyncio.sleep(0.0005)
    await asyncio.gather(*loads)
    due = credential_loader._BURST + (time.monotonic() - began) / credential_loader._INTERVAL
    assert len(database.queries) <= due + 500 / credential_loader._BATCH + 3
    assert sum(map(len, database.queries)) == 500


async def test_a_single_credential_is_queried_at_once() -> None:
    database = SlowDatabase()
    database.open.set()
    harness = LoaderHarness(database.load)
    began = time.monotonic()
    for number in range(credential_loader._BURST):
        await harness.load(str(number))
    assert time.monotonic() - began < credential_loader._BURST * credential_loader._INTERVAL / 2, "some 2 ms"
    assert len(database.queries) == credential_loader._BURST


async def test_a_full_batch_is_queried_at_once() -> None:
    database = SlowDatabase()
    database.open.set()
    harness = LoaderHarness(database.load)
    harness.loader._due = asyncio.get_running_loop().time() + 3600
    names = [str(number) for number in range(10 * credential_loader._BATCH)]
    async with asyncio.timeout(10):
        await asyncio.gather(*harness.start_many(names))
    assert len(database.queries) <= 12


async def test_callers_of_one_batch_resume_one_at_a_time() -> None:
    """A refusal takes 0.2 ms: other tasks wait for one of them, not for all."""
    database = SlowDatabase()
    harness = LoaderHarness(database.load)
    turn, went_on = 0, Counter[int]()

    async def count_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def caller(name: str) -> None:
        await harness.load(name)
        went_on[turn] += 1

    loads = [asyncio.create_task(caller(str(number))) for number in range(4 * credential_loader._BATCH)]
    await settle()
    turns = asyncio.create_task(count_turns())
    database.open.set()
    await asyncio.gather(*loads)
    turns.cancel()
    assert max(went_on.values()) <= 4, "two queries, and a turn that is counted late"
