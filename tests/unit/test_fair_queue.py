"""Slots that are shared fairly between sources."""

import asyncio

import pytest

from tenants.errors import RateLimited, Unavailable
from tenants.fair_queue import FairQueue, FairSlots

pytestmark = pytest.mark.anyio


def _slots(slots: int = 1, *, most: int = 100, most_of_one: int = 100, longest_wait: float = 10.0) -> FairSlots:
    return FairSlots(slots, most=most, most_of_one=most_of_one, longest_wait=longest_wait)


class Recorder:
    """Callers that hold a slot for a moment, and the order in which they got it."""

    def __init__(self, slots: FairSlots) -> None:
        self.slots = slots
        self.order: list[str] = []

    async def start(self, source: str, lane: str = "", times: int = 1) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self._work(source, lane)) for _ in range(times)]
        await asyncio.sleep(0)
        return tasks

    async def _work(self, source: str, lane: str) -> None:
        async with self.slots.held(source, lane):
            self.order.append(source)
            await asyncio.sleep(0)


async def test_a_source_waits_for_one_caller_of_a_flood() -> None:
    """ID9: 50 callers of another source wait already."""
    recorder = Recorder(_slots())
    await recorder.slots.acquire("holder")
    tasks = await recorder.start("flood", times=50) + await recorder.start("good")
    recorder.slots.release()
    await asyncio.gather(*tasks)
    assert recorder.order.index("good") == 1
    assert recorder.slots.callers == 0


async def test_lanes_take_turns_however_many_sources_one_has() -> None:
    """ID10: a hundred new sources delay one in another lane by one caller for each lane."""
    recorder = Recorder(_slots())
    await recorder.slots.acquire("holder")
    tasks = [task for number in range(99) for task in await recorder.start(f"new {number}", "new")]
    tasks += await recorder.start("good", "place")
    recorder.slots.release()
    await asyncio.gather(*tasks)
    assert recorder.order.index("good") == 1


async def test_no_more_callers_than_slots_work_at_once() -> None:
    working, most = 0, 0
    slots = _slots(3)

    async def work(source: int) -> None:
        nonlocal working, most
        async with slots.held(source):
            working += 1
            most = max(most, working)
            await asyncio.sleep(0)
            working -= 1

    await asyncio.gather(*(work(number % 5) for number in range(50)))
    assert most == 3


async def test_a_source_beyond_its_bound_is_turned_away_alone() -> None:
    """ID9: at the bound and one beyond it."""
    slots = _slots(most_of_one=2)
    await slots.acquire("holder")
    waiting = [asyncio.create_task(slots.acquire("flood")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited):
        await slots.acquire("flood")
    other = asyncio.create_task(slots.acquire("good"))
    for _ in range(4):
        await asyncio.sleep(0)
        slots.release()
    await asyncio.gather(*waiting, other)
    assert slots.callers == 0


async def test_all_sources_of_a_lane_together_are_bounded() -> None:
    """ID9, ID10: an outage of ours, as far as this caller can tell; a flood in one lane closes no other."""
    slots = _slots(most=3)
    await slots.acquire("holder")
    waiting = [asyncio.create_task(slots.acquire(number, "new")) for number in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await slots.acquire("one more", "new")
    other = asyncio.create_task(slots.acquire("good", "place"))
    for _ in range(2):
        await asyncio.sleep(0)
        slots.release()
    await other
    for each in waiting:
        each.cancel()


async def test_a_caller_does_not_wait_forever() -> None:
    """OP3."""
    slots = _slots(longest_wait=0.01)
    await slots.acquire("holder")
    with pytest.raises(Unavailable):
        await slots.acquire("other")
    slots.release()
    assert slots.callers == 0


async def test_a_caller_that_leaves_loses_no_slot() -> None:
    """One leaves while it waits, one in the very moment in which a slot is handed to it."""
    slots = _slots()
    await slots.acquire("holder")
    waiting, handed = [asyncio.create_task(slots.acquire(name)) for name in ("waiting", "handed")]
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    slots.release()
    handed.cancel()
    await asyncio.gather(waiting, handed, return_exceptions=True)
    assert slots.callers == 0
    async with asyncio.timeout(1):
        await slots.acquire("next")


def test_an_item_that_is_discarded_takes_no_turn() -> None:
    """IS10: and a source without items none either."""
    queue: FairQueue[int] = FairQueue()
    for source, item in (("a", 1), ("b", 2), ("a", 3)):
        queue.put(source, item)
    queue.discard("b", 2)
    queue.discard("b", 2)
    queue.discard("a", 9)
    queue.discard("a", 1)
    assert (len(queue), queue.length("a"), queue.take(5), len(queue)) == (1, 1, [3], 0)
