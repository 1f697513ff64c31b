"""Simulated loads: how requests are shared between targets."""

import heapq
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.proxy.targets.outcomes import Outcome
from gateway.proxy.targets.target import Attempt, Target
from tests.unit.proxy.targets.worlds import World

_WEIGHTS = st.lists(st.integers(1, 10), min_size=2, max_size=8)
_PICKS = 4_000


def _run(
    world: World, concurrency: int, seconds: Callable[[Target], float]
) -> tuple[dict[Target, int], dict[Target, int]]:
    """Keep so many requests in flight: how many each target got, and the most that it had at once."""
    got, most = dict.fromkeys(world.targets, 0), dict.fromkeys(world.targets, 0)
    ends: list[tuple[float, int, Attempt]] = []
    for number in range(_PICKS):
        if len(ends) == concurrency:
            world.now, _, attempt = heapq.heappop(ends)
            attempt.ended(Outcome.OK, 0.01)
        target = world.upstream.pick("acme")
        heapq.heappush(ends, (world.now + seconds(target), number, target.began(world.meter)))
        got[target] += 1
        most[target] = max(most[target], target.outstanding)
    return got, most


@given(_WEIGHTS, st.integers(0, 1_000))
@settings(max_examples=30)
def test_targets_of_an_idle_upstream_get_requests_by_weight(weights: list[int], seed: int) -> None:
    """Weights hold where least outstanding requests say nothing."""
    shares = World(weights, seed=seed).shares(_PICKS)
    for share, weight in zip(shares.values(), weights, strict=True):
        assert share == pytest.approx(weight / sum(weights), abs=0.045)  # five standard deviations


@given(_WEIGHTS, st.integers(0, 1_000), st.sampled_from([2, 10, 100]))
@settings(max_examples=30)
def test_targets_of_a_busy_upstream_get_requests_by_weight(weights: list[int], seed: int, concurrency: int) -> None:
    """No target is far above its share, nor below it, whatever the load is."""
    rand = random.Random(seed)  # noqa: S311 - a simulation
    got, most = _run(World(weights, seed=seed), concurrency, lambda _: rand.expovariate(100))
    for target, weight in zip(got, weights, strict=True):
        share = weight / sum(weights)
        assert got[target] / _PICKS == pytest.approx(share, rel=0.35, abs=0.04)
        assert most[target] <= 2.5 * share * concurrency + 4


def test_a_slow_target_gets_fewer_requests() -> None:
    """Least outstanding requests: one that is ten times slower must not collect the requests of all."""
    world = World([1, 1, 1, 1])
    slow = world.targets[0]
    got, most = _run(world, 40, lambda target: 0.1 if target is slow else 0.01)
    assert got[slow] < 0.1 * _PICKS
    assert most[slow] <= 20


def test_a_new_targets_share_grows() -> None:
    """Slow start: a cold process must not get its whole share at once, and gets it in the end."""
    world = World([1, 1], outliers={"slow_start": 10})
    assert world.shares(_PICKS)[world.targets[1]] == pytest.approx(0.5, abs=0.04)  # all new: nothing to compare with
    world.apply([1, 1, 1], outliers={"slow_start": 10})
    new = world.targets[2]
    grown = []
    for _ in range(4):
        grown.append(world.shares(_PICKS)[new])
        world.now += 4
    assert grown[0] == pytest.approx(0.1 / 2.1, abs=0.02)
    assert grown[1] == pytest.approx(0.4 / 2.4, abs=0.03)
    assert grown[2] == pytest.approx(0.8 / 2.8, abs=0.03)
    assert grown[3] == pytest.approx(1 / 3, abs=0.04)


def test_tenants_with_targets_of_their_own_use_no_others() -> None:
    """A route of one tenant may go to that tenant's own target."""
    own = {"big": [{"url": "http://10.1.0.1:80"}, {"url": "http://10.1.0.2:80"}]}
    world = World([1, 1], by_tenant=own)
    assert {world.upstream.pick("big").name for _ in range(100)} == {"http://10.1.0.1:80", "http://10.1.0.2:80"}
    assert {world.upstream.pick("small").name for _ in range(100)} == {"http://10.0.0.1:80", "http://10.0.0.2:80"}


def test_a_further_attempt_goes_to_a_target_that_was_not_tried() -> None:
    """PX10: a retry avoids the target that has just failed, and uses it again only when there is no other."""
    world = World([1, 1, 1])
    one, two, three = world.targets
    assert {world.upstream.pick("acme", (one,)) for _ in range(50)} == {two, three}
    assert {world.upstream.pick("acme", (one, three)) for _ in range(50)} == {two}
    assert {world.upstream.pick("acme", (one, two, three)) for _ in range(100)} == {one, two, three}
