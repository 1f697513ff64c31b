"""IS10: connections in fair shares, over every order of coming, going and giving up."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.database.fairness import SYSTEM, FairShares, management_of
from tenants.errors import Unavailable

pytestmark = pytest.mark.anyio

_DATA = ("t_a", "t_b", "t_c")
_SCHEMAS = (*_DATA, management_of("t_a"), management_of("t_b"), SYSTEM)
_KINDS = ("come", "come", "come", "end", "leave", "pause")
_STEPS = st.lists(st.tuples(st.sampled_from(_KINDS), st.integers(0, 2**16)), min_size=40, max_size=120)


def _shares(places: int, reserved: int = 0, *, max_wait: float = 60.0, longest_queue: int = 1000) -> FairShares:
    return FairShares(places, max_wait=max_wait, longest_queue=longest_queue, reserved=reserved)


async def _settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


class Requests:
    """Requests of six holders that come, are served, end, and are cancelled."""

    def __init__(self, places: int, reserved: int) -> None:
        self.places, self.reserved = places, reserved
        self.shares = _shares(places, reserved)
        self.came = 0
        self.waiting: dict[asyncio.Task[None], tuple[str, int]] = {}
        self.served: dict[asyncio.Task[None], str] = {}
        self.order: list[tuple[str, int]] = []

    async def step(self, kind: str, number: int) -> None:
        match kind:
            case "come":
                self.come(_SCHEMAS[number % len(_SCHEMAS)])
            case "end" if self.served:
                task = list(self.served)[number % len(self.served)]
                self.shares.give_back(self.served.pop(task))
            case "leave" if self.waiting:
                list(self.waiting)[number % len(self.waiting)].cancel()  # perhaps in the moment of its turn
            case "pause":
                await self.look()

    def come(self, schema: str) -> None:
        task = asyncio.create_task(self.shares.take(schema))
        self.waiting[task] = (schema, self.came)
        self.came += 1

    async def look(self) -> None:
        await _settle()
        for task in [each for each in self.waiting if each.done()]:
            schema, number = self.waiting.pop(task)
            if not task.cancelled():
                self.served[task] = schema
                self.order.append((schema, number))
        self.check()

    def check(self) -> None:
        held = Counter(self.served.values())
        free = self.places - held.total()
        assert free >= 0
        assert sum(held[schema] for schema in _DATA) <= self.places - self.reserved
        for schema in {schema for schema, _ in self.waiting.values()}:
            may_take_all = schema == SYSTEM or (schema not in _DATA and not held[schema])
            kept = 0 if may_take_all else max(0, self.reserved - held[SYSTEM])
            assert held[schema] >= 2 * (free - kept), f"{schema} waits and may take one"

    async def go(self) -> None:
        for task in self.waiting:
            task.cancel()
        await self.look()
        for schema in self.served.values():
            self.shares.give_back(schema)


@given(places=st.integers(1, 6), reserved=st.integers(0, 2), steps=_STEPS)
def test_whatever_comes_goes_and_gives_up_no_place_is_lost_and_nobody_waits_beside_a_free_one(
    places: int, reserved: int, steps: list[tuple[str, int]]
) -> None:
    """IS10: never more out than there are, none kept from who may have it, each tenant's requests in their order."""

    async def run() -> None:
        crowd = Requests(places, min(reserved, places - 1))
        for kind, number in steps:
            await crowd.step(kind, number)
        await crowd.go()
        for schema in _SCHEMAS:
            numbers = [number for each, number in crowd.order if each == schema]
            assert numbers == sorted(numbers)
        assert (crowd.shares._free, crowd.shares._held, dict(crowd.shares._waiting)) == (places, {}, {})

    asyncio.run(run())


async def _holding(shares: FairShares, schema: str, most: int = 100) -> list[asyncio.Task[None]]:
    """Take until there is nothing to be had; the tasks that still wait."""
    tasks = [asyncio.create_task(shares.take(schema)) for _ in range(most)]
    await _settle()
    return [task for task in tasks if not task.done()]


async def _end(*waiting: list[asyncio.Task[None]]) -> None:
    for task in (task for tasks in waiting for task in tasks):
        task.cancel()
    await _settle()


@pytest.mark.parametrize(("places", "alone"), [(1, 1), (2, 2), (3, 2), (4, 3), (6, 4), (10, 7), (30, 20)])
async def test_a_tenant_alone_leaves_room_for_the_next(places: int, alone: int) -> None:
    """IS10: a flood of slow statements holds some two thirds, so that another's request waits for none of them."""
    shares = _shares(places)
    flood = await _holding(shares, "t_a")
    assert len(flood) == 100 - alone
    if places > 2:
        async with asyncio.timeout(1):
            await shares.take("t_b")
    await _end(flood)


async def test_many_floods_leave_a_place_to_whoever_has_none() -> None:
    """IS10: the more are at work, the less each may hold."""
    shares = _shares(30)
    floods = [await _holding(shares, f"t_{number}") for number in range(3)]
    assert _unevenness(shares) > 10
    for _ in range(100):  # what is held evens out as work ends
        for number in range(3):
            shares.give_back(f"t_{number}")
            floods[number].append(asyncio.create_task(shares.take(f"t_{number}")))
        await _settle()
    assert _unevenness(shares) <= 2
    async with asyncio.timeout(1):
        await shares.take("t_other")
    await _end(*floods)


def _unevenness(shares: FairShares) -> int:
    return max(shares._held.values()) - min(shares._held.values())


async def test_who_waits_is_served_in_turn() -> None:
    """IS10: a tenant with one request waits for one of each other tenant, not for a queue of a hundred."""
    shares, order = _shares(1), list[str]()
    await shares.take("t_a")

    async def ask(schema: str) -> None:
        await shares.take(schema)
        order.append(schema)
        shares.give_back(schema)

    async with asyncio.TaskGroup() as group:
        for schema in ("t_a",) * 4 + ("t_b",) * 2 + ("t_c",):
            group.create_task(ask(schema))
        await _settle()
        shares.give_back("t_a")
    assert order == ["t_a", "t_b", "t_c", "t_a", "t_b", "t_a", "t_a"]


async def test_a_queue_that_is_too_long_turns_away_its_own_tenant_and_no_other() -> None:
    """IS10: at once, with the time after which to come again."""
    shares = _shares(1, longest_queue=3)
    await shares.take("t_a")
    waiting = [asyncio.create_task(shares.take("t_a")) for _ in range(3)]
    await _settle()
    with pytest.raises(Unavailable) as refusal:
        await shares.take("t_a")
    assert refusal.value.retry_after
    other = asyncio.create_task(shares.take("t_b"))
    await _settle()
    assert not other.done()
    await _end(waiting, [other])


async def test_a_wait_is_bounded() -> None:
    """OP3: who waits in vain is told so, and is not served afterwards."""
    shares = _shares(1, max_wait=0.01)
    await shares.take("t_a")
    with pytest.raises(Unavailable):
        await shares.take("t_b")
    shares.give_back("t_a")
    assert (shares._free, shares._held, dict(shares._waiting)) == (1, {}, {})


async def test_our_own_work_has_a_place_that_no_tenant_takes() -> None:
    """IS10: a credential is looked up, and an event of Stripe's stored, beside any flood of tenants."""
    shares = _shares(4, reserved=1)
    floods = [await _holding(shares, f"t_{number}") for number in range(5)]
    async with asyncio.timeout(1):
        await shares.take(SYSTEM)
    assert sum(shares._held.values()) == 4
    shares.give_back(SYSTEM)
    assert shares._held.get("t_4") is None  # and it is kept for the next
    await _end(*floods)


@pytest.mark.parametrize("floods", [1, 2, 5])
async def test_a_tenant_is_managed_beside_any_flood_of_data(floods: int) -> None:
    """TH10: a key is revoked while slow statements of its tenant, and of others, hold all that data may hold."""
    shares = _shares(4, reserved=1)
    waiting = [await _holding(shares, f"t_{number}") for number in range(floods)]
    async with asyncio.timeout(1):
        await shares.take(management_of("t_0"))
    await _end(*waiting)


async def test_managing_a_tenant_leaves_room_for_our_own_work() -> None:
    """IS10: a flood of management holds as much as a flood of data could, and not the last connection."""
    shares = _shares(4, reserved=1)
    flood = await _holding(shares, management_of("t_a"))
    async with asyncio.timeout(1):
        await shares.take(SYSTEM)
        await shares.take("t_b")
    await _end(flood)
