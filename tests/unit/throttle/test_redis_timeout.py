"""An unreachable Redis is distinguished from a machine that is short of processors."""

import pytest

from gateway.throttle import redis_timeout
from gateway.throttle.redis_timeout import ResponseTimer, RoundTripTimes

_DEADLINE = 0.005


@pytest.fixture(autouse=True)
def _idle_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_timeout, "_short_of_processors", lambda: False)


def _ticks(timer: ResponseTimer, count: int, now: float, *, apart: float = 0.001) -> float:
    for _ in range(count):
        now += apart
        timer.tick(now, 0)
    return now


def test_a_reply_is_overdue_after_the_deadline() -> None:
    """TH8: at most 5 ms are added."""
    timer = ResponseTimer()
    timer.start(0.0, 0.002, 0)
    now = _ticks(timer, 1, 0.001)
    assert not timer.exceeds(_DEADLINE, now)
    now = _ticks(timer, 3, now)
    assert timer.exceeds(_DEADLINE, now)
    assert now <= _DEADLINE + 0.001


def test_a_reply_resets_the_timer() -> None:
    timer = ResponseTimer()
    timer.start(0.0, 0.002, 0)
    now = _ticks(timer, 3, 0.001)
    timer.tick(now + 0.001, 1)
    assert not timer.exceeds(_DEADLINE, now + 0.001)


def test_a_stall_of_this_process_is_no_timeout() -> None:
    """TH1: a worker that enforces its own share while Redis serves the others could overshoot."""
    timer = ResponseTimer()
    timer.start(0.0, 0.002, 0)
    now = _ticks(timer, 6, 0.0, apart=0.02)
    assert not timer.exceeds(_DEADLINE, now)
    now = _ticks(timer, 50, now)
    assert timer.exceeds(_DEADLINE, now)


def test_the_wait_is_bounded_on_a_starved_machine() -> None:
    """TH8: a request waits for at most a quarter of a second where every tick is late."""
    timer = ResponseTimer()
    timer.start(0.0, 0.002, 0)
    assert timer.exceeds(_DEADLINE, _ticks(timer, 13, 0.0, apart=0.02))


def test_the_deadline_is_longer_while_processors_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """TH1: Redis is not scheduled either."""
    monkeypatch.setattr(redis_timeout, "_short_of_processors", lambda: True)
    timer = ResponseTimer()
    timer.start(0.0, 0.002, 0)
    assert not timer.exceeds(_DEADLINE, _ticks(timer, 20, 0.001))
    assert timer.exceeds(_DEADLINE, _ticks(timer, 40, 0.021))


def test_the_deadline_follows_a_long_round_trip_time() -> None:
    trips = RoundTripTimes()
    assert trips.deadline(_DEADLINE) == _DEADLINE
    for _ in range(50):
        trips.observe(0.02)
    assert 0.02 <= trips.deadline(_DEADLINE) <= 0.05
