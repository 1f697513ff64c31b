"""Passive checks: ejection, half-open breakers, and the targets that always stay."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.proxy.targets.errors import NoTarget
from gateway.proxy.targets.outcomes import LAST_FAILURE, Outcome
from gateway.proxy.targets.target import Attempt, Breaker, Health, Target
from tests.unit.proxy.targets.worlds import World

_FAILURES = tuple(outcome for outcome in Outcome if Outcome.OK < outcome <= LAST_FAILURE)
_NEUTRAL = tuple(outcome for outcome in Outcome if outcome > LAST_FAILURE)
_FAILURES_IN_A_ROW = 3
_OUTLIERS = {"failures": _FAILURES_IN_A_ROW, "eject_seconds": 10.0, "most_ejected": 0.5, "slow_start": 0}


def _request(world: World, target: Target, outcome: Outcome = Outcome.NO_CONNECTION) -> None:
    target.began(world.meter).ended(outcome, 0.01)


def _breaker(target: Target) -> Breaker:
    """As it is now, whatever was asserted before."""
    return target.breaker


def _eject(world: World, target: Target) -> None:
    for _ in range(_FAILURES_IN_A_ROW):
        _request(world, target)
    assert _breaker(target) is Breaker.OPEN


@pytest.mark.parametrize("outcome", _FAILURES, ids=lambda each: each.name)
def test_so_many_failures_in_a_row_eject_a_target(outcome: Outcome) -> None:
    """PX10: at the bound; one fewer does not, nor does a success between."""
    world = World([1, 1], outliers=_OUTLIERS)
    target, other = world.targets
    for each in (outcome, outcome, Outcome.OK, outcome, outcome):
        _request(world, target, each)
    assert _breaker(target) is Breaker.CLOSED
    _request(world, target, outcome)
    assert _breaker(target) is Breaker.OPEN
    assert {world.upstream.pick("acme") for _ in range(50)} == {other}
    assert world.upstream.counters.ejections == 1


@pytest.mark.parametrize("outcome", _NEUTRAL, ids=lambda each: each.name)
def test_what_says_nothing_about_a_target_does_not_eject_it(outcome: Outcome) -> None:
    """PX9, PX10: clients that leave, our own bound on connections and stale connections are no failures."""
    world = World([1, 1], outliers=_OUTLIERS)
    target = world.targets[0]
    for _ in range(20):
        _request(world, target, outcome)
    _request(world, target)
    _request(world, target)
    _request(world, target, outcome)  # and do not interrupt a row of failures
    assert _breaker(target) is Breaker.CLOSED
    _request(world, target)
    assert _breaker(target) is Breaker.OPEN


def test_one_probe_decides_when_the_ejection_is_over() -> None:
    """PX10: half open is one request; its success closes the breaker, its failure opens it for longer."""
    world = World([1, 1], outliers=_OUTLIERS)
    target, other = world.targets
    early = target.began(world.meter)
    _eject(world, target)
    world.now += 9.999
    assert world.upstream.pick("acme") is other
    world.now += 0.001
    assert world.upstream.pick("acme") is target
    probe = target.began(world.meter)
    assert {world.upstream.pick("acme") for _ in range(20)} == {other}
    early.ended(Outcome.OK, 20.0)  # it began before the ejection
    assert _breaker(target) is Breaker.HALF_OPEN
    probe.ended(Outcome.TIMEOUT, 1.0)
    assert (target.breaker, target.ejected_until) == (Breaker.OPEN, world.now + 20.0)
    world.now += 20.0
    world.upstream.pick("acme").began(world.meter).ended(Outcome.OK, 0.01)
    assert _breaker(target) is Breaker.CLOSED
    assert {world.upstream.pick("acme") for _ in range(50)} == {target, other}


def test_a_probe_without_a_verdict_is_followed_by_another() -> None:
    """A client that leaves during the probe must not keep the target out."""
    world = World([1, 1], outliers=_OUTLIERS)
    target = world.targets[0]
    _eject(world, target)
    world.now += 10
    world.upstream.pick("acme").began(world.meter).ended(Outcome.ABANDONED, 1.0)
    assert _breaker(target) is Breaker.HALF_OPEN
    lost = world.upstream.pick("acme").began(world.meter)
    assert world.upstream.pick("acme") is not target
    world.now += world.upstream.spec.timeouts.connect + world.upstream.spec.timeouts.first_byte
    second = world.upstream.pick("acme").began(world.meter)
    lost.ended(Outcome.BAD_STATUS, 40.0)  # too late to decide
    assert _breaker(target) is Breaker.HALF_OPEN
    second.answered()  # the head of a stream that goes on for hours
    assert _breaker(target) is Breaker.CLOSED
    second.ended(Outcome.CUT, 3_600.0)
    assert (target.outstanding, target.failures) == (0, 1)


def test_ejections_grow_while_they_follow_each_other() -> None:
    """Up to ten times; a target that was well for as long as it was out starts anew."""
    world = World([1, 1], outliers=_OUTLIERS)
    target = world.targets[0]
    _eject(world, target)
    lengths = []
    for _ in range(12):
        world.now = target.ejected_until
        _request(world, world.upstream.pick("acme"))
        lengths.append(target.ejected_until - world.now)
    assert lengths == pytest.approx([20, 30, 40, 50, 60, 70, 80, 90, 100, 100, 100, 100])
    world.now = target.ejected_until
    _request(world, world.upstream.pick("acme"), Outcome.OK)
    world.now += 100
    _eject(world, target)
    assert target.ejected_until - world.now == pytest.approx(100)  # not longer than it was out
    world.now = target.ejected_until
    _request(world, world.upstream.pick("acme"), Outcome.OK)
    world.now += 100.001
    _eject(world, target)
    assert target.ejected_until - world.now == pytest.approx(10)


@pytest.mark.parametrize(
    ("targets", "most", "ejected"),
    [(1, 1.0, 0), (2, 1.0, 1), (4, 0.5, 2), (5, 0.5, 2), (3, 0.3, 0), (10, 0.3, 3), (2, 0, 0)],
)
def test_at_most_a_share_of_the_targets_is_ejected_and_never_the_last(targets: int, most: float, ejected: int) -> None:
    """An upstream whose every target fails goes on with those that are left: the failure may be the requests'."""
    world = World([1] * targets, outliers={**_OUTLIERS, "most_ejected": most})
    for target in world.targets * 3:
        _request(world, target)
    assert sum(each.breaker is not Breaker.CLOSED for each in world.targets) == ejected


def test_the_last_target_that_fails_ends_the_ejections_of_others() -> None:
    """PX10: a rolling restart. The first server is back before its ejection is over when the second one ends."""
    world = World([1, 1], outliers=_OUTLIERS)
    first, second = world.targets
    _eject(world, first)
    assert world.upstream.pick("acme", (second,)) is second  # its connection was stale: it does not fail
    _request(world, second)
    assert world.upstream.pick("acme", (second,)) is first
    probe = first.began(world.meter)
    assert world.upstream.pick("acme", (second,)) is first  # rather than fail for certain
    probe.ended(Outcome.NO_CONNECTION, 0.01)
    assert _breaker(first) is Breaker.OPEN
    _request(world, second)
    _request(world, second)
    assert world.upstream.pick("acme") is first
    _request(world, first, Outcome.OK)
    assert _breaker(first) is Breaker.CLOSED
    _request(world, second)
    assert _breaker(second) is Breaker.OPEN


def test_without_a_target_the_error_says_when_to_retry() -> None:
    """All targets down: 503 at once, with the time that the checks take at least to find one healthy."""
    world = World([1, 1], outliers=_OUTLIERS, health={"interval": 5, "healthy_after": 3})
    _eject(world, world.targets[0])
    for target in world.targets:
        target.next_check = world.now + 3.2
        world.upstream.shared.set_health(target, Health.UNHEALTHY)
    with pytest.raises(NoTarget) as refused:
        world.upstream.pick("acme")
    assert (refused.value.code, refused.value.retry_after) == ("unavailable", 14)
    with pytest.raises(NoTarget):
        world.upstream.pick("acme", (world.targets[0],))
    assert world.upstream.counters.without_target == 2


def test_an_ejected_target_returns_when_checks_take_the_last_other_one() -> None:
    """Ejection always leaves one, whatever the active checks find."""
    world = World([1, 1], outliers=_OUTLIERS, health={})
    target, other = world.targets
    for each in world.targets:
        world.upstream.shared.set_health(each, Health.HEALTHY)
    _eject(world, target)
    world.upstream.shared.set_health(other, Health.UNHEALTHY)
    assert world.upstream.pick("acme") is target
    assert _breaker(target) is Breaker.CLOSED


def test_an_attempt_ends_once() -> None:
    """Cancellation and errors may report the end twice: the count of requests in flight stays right."""
    world = World([1])
    target = world.upstream.pick("acme")
    attempts = [target.began(world.meter) for _ in range(3)]
    attempts[0].ended(Outcome.OK, 0.01)
    attempts[0].ended(Outcome.ABANDONED, 0.02)
    assert target.outstanding == 2
    assert (world.meter.outcomes[Outcome.OK], world.meter.outcomes[Outcome.ABANDONED]) == (1, 0)


class _Balancer(RuleBasedStateMachine):
    """Any order of requests, results, verdicts of checks, versions and time."""

    @initialize(
        weights=st.lists(st.integers(1, 10), min_size=1, max_size=6),
        most=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
        slow_start=st.sampled_from([0, 10]),
        seed=st.integers(0, 1_000),
    )
    def begin(self, weights: list[int], most: float, slow_start: float, seed: int) -> None:
        self.fields = {"outliers": {**_OUTLIERS, "failures": 2, "most_ejected": most, "slow_start": slow_start}}
        self.fields["health"] = {}
        self.world = World(weights, seed=seed, **self.fields)
        self.attempts: list[Attempt] = []
        self.most = most

    def _began(self, target: Target, tried: Sequence[Target]) -> None:
        """A request may go to an ejected target as its only probe, or if it has failed at every other one."""
        others = (each for each in self.world.targets if each.usable)
        if target.breaker is not Breaker.CLOSED and not all(each in tried and each.failures for each in others):
            assert target.breaker is Breaker.HALF_OPEN
            assert target.probe is None, "a second probe"
        assert target.health is not Health.UNHEALTHY
        self.attempts.append(target.began(self.world.meter))

    def _all_down(self) -> bool:
        return all(target.health is Health.UNHEALTHY for target in self.world.targets)

    @rule(tried=st.integers(0, 2))
    def request(self, tried: int) -> None:
        before = tuple(self.world.targets[:tried])
        try:
            target = self.world.upstream.pick("acme", before)
        except NoTarget:
            assert self._all_down()
        else:
            self._began(target, before)

    @precondition(lambda self: self.attempts)
    @rule(which=st.integers(0, 100), outcome=st.sampled_from([*Outcome, Outcome.OK, Outcome.NO_CONNECTION]))
    def end(self, which: int, outcome: Outcome) -> None:
        self.attempts.pop(which % len(self.attempts)).ended(outcome, 0.01)

    @rule(which=st.integers(0, 5), times=st.integers(1, 3))
    def fail(self, which: int, times: int) -> None:
        target = self.world.targets[which % len(self.world.targets)]
        if target.usable:
            for _ in range(times):
                _request(self.world, target)

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.world.now += seconds

    @rule(which=st.integers(0, 5), health=st.sampled_from([Health.HEALTHY, Health.UNHEALTHY]))
    def check(self, which: int, health: Health) -> None:
        self.world.upstream.shared.set_health(self.world.targets[which % len(self.world.targets)], health)

    @rule(weights=st.lists(st.integers(1, 10), min_size=1, max_size=6))
    def apply(self, weights: list[int]) -> None:
        self.attempts = []  # of targets that may be gone
        self.world.apply(weights, **self.fields)

    @invariant()
    def few_are_out_and_one_is_left(self) -> None:
        targets = self.world.targets
        out = [target for target in targets if target.breaker is not Breaker.CLOSED]
        assert len(out) <= math.floor(self.most * len(targets) + 1e-9)
        assert self._all_down() or any(target.usable for target in targets)


def test_whatever_happens_few_targets_are_out_and_they_get_nothing_but_probes() -> None:
    """PX10: checked after each of thousands of random steps."""
    run_state_machine_as_test(_Balancer, settings=settings(max_examples=60, stateful_step_count=50, deadline=None))
