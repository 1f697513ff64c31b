"""How fast credentials are asked for, and how fast those go on who waited for them."""

import asyncio
import time
from collections import Counter

import pytest

from gateway.identity import loads as module
from tests.unit.identity.desk import Desk, SlowDatabase, settle

pytestmark = pytest.mark.anyio


async def test_a_flood_that_trickles_in_goes_with_few_questions_too() -> None:
    """Each comes alone, and finds nobody waiting: asked for at once, each would cost a transaction of its own."""
    database = SlowDatabase()
    database.open.set()
    desk = Desk(database.load)
    began, asked = time.monotonic(), []
    for number in range(500):
        asked.append(desk.ask(str(number), f"sender {number}"))
        await asyncio.sleep(0.0005)
    await asyncio.gather(*asked)
    due = module._BURST + (time.monotonic() - began) / module._EVERY
    assert len(database.questions) <= due + 500 / module._TOGETHER + 3
    assert sum(map(len, database.questions)) == 500


async def test_a_credential_that_comes_in_a_quiet_moment_waits_for_no_turn() -> None:
    database = SlowDatabase()
    database.open.set()
    desk = Desk(database.load)
    began = time.monotonic()
    for number in range(module._BURST):
        await desk.answer(str(number))
    assert time.monotonic() - began < module._BURST * module._EVERY / 2, "some 2 ms"
    assert len(database.questions) == module._BURST


async def test_when_many_wait_no_question_waits_for_its_turn() -> None:
    database = SlowDatabase()
    database.open.set()
    desk = Desk(database.load)
    desk.loads._due = asyncio.get_running_loop().time() + 3600
    names = [str(number) for number in range(10 * module._TOGETHER)]
    async with asyncio.timeout(10):
        await asyncio.gather(*desk.ask_many(names))
    assert len(database.questions) <= 12


async def test_those_who_wait_for_one_question_go_on_one_at_a_time() -> None:
    """A refusal takes its time: others on the loop wait for one of them, and not for all."""
    database = SlowDatabase()
    desk = Desk(database.load)
    turn, went_on = 0, Counter[int]()

    async def count_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def caller(name: str) -> None:
        await desk.answer(name)
        went_on[turn] += 1

    asked = [asyncio.create_task(caller(str(number))) for number in range(4 * module._TOGETHER)]
    await settle()
    turns = asyncio.create_task(count_turns())
    database.open.set()
    await asyncio.gather(*asked)
    turns.cancel()
    assert max(went_on.values()) <= 4, "of two questions, and a turn that is counted late"
