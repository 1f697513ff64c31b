"""Turns: a bounded pace, fair between sources."""

import asyncio

import pytest

from gateway.identity import turns
from gateway.identity.turns import Turns

pytestmark = pytest.mark.anyio


async def _settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_only_so_many_get_a_turn_in_an_interval() -> None:
    """TH4: the others wait, and get theirs in the next ones."""
    paced = Turns(at_once=5, interval=3600)
    waiting = [asyncio.create_task(paced.wait("source")) for _ in range(8)]
    await _settle()
    assert sum(each.done() for each in waiting) == 5
    assert len(paced) == 3
    for each in waiting:
        each.cancel()


async def test_a_source_waits_behind_no_other_ones_flood() -> None:
    """TH12: 50 of another source wait already."""
    paced = Turns(at_once=4, interval=3600)
    waiting = [asyncio.create_task(paced.wait("flood")) for _ in range(50)]
    good = asyncio.create_task(paced.wait("good"))
    await _settle()
    assert good.done()
    for each in waiting:
        each.cancel()


async def test_the_next_interval_serves_those_that_wait() -> None:
    paced = Turns(at_once=2, interval=0.001)
    async with asyncio.timeout(5):
        assert await asyncio.gather(*(paced.wait(number) for number in range(20))) == [True] * 20
    assert len(paced) == 0


async def test_waiting_is_bounded_by_source_and_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """TH4: at the bound and one beyond it."""
    monkeypatch.setattr(turns, "_MOST_OF_ONE", 2)
    monkeypatch.setattr(turns, "_MOST", 3)
    paced = Turns(at_once=0, interval=3600)
    waiting = [asyncio.create_task(paced.wait("flood")) for _ in range(2)]
    await asyncio.sleep(0)
    assert not await paced.wait("flood")
    waiting.append(asyncio.create_task(paced.wait("other")))
    await asyncio.sleep(0)
    assert not await paced.wait("a third")
    for each in waiting:
        each.cancel()


async def test_a_turn_that_does_not_come_in_time_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """OP3: no request waits for longer."""
    monkeypatch.setattr(turns, "_LONGEST_WAIT", 0.01)
    assert not await Turns(at_once=0, interval=3600).wait("source")
