"""Silence of Redis is told from a machine that is short of processors."""

import pytest

from gateway.throttle import silence as silences
from gateway.throttle.silence import RoundTrips, Silence

_DEADLINE = 0.005


@pytest.fixture(autouse=True)
def _idle_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silences, "_short_of_processors", lambda: False)


def _ticks(silence: Silence, count: int, now: float, *, apart: float = 0.001) -> float:
    for _ in range(count):
        now += apart
        silence.tick(now, 0)
    return now


def test_a_silence_as_long_as_the_deadline_is_one() -> None:
    """TH8: at most 5 ms are added."""
    silence = Silence()
    silence.begin(0.0, 0.002, 0)
    now = _ticks(silence, 1, 0.001)
    assert not silence.longer_than(_DEADLINE, now)
    now = _ticks(silence, 3, now)
    assert silence.longer_than(_DEADLINE, now)
    assert now <= _DEADLINE + 0.001


def test_an_answer_ends_it() -> None:
    silence = Silence()
    silence.begin(0.0, 0.002, 0)
    now = _ticks(silence, 3, 0.001)
    silence.tick(now + 0.001, 1)
    assert not silence.longer_than(_DEADLINE, now + 0.001)


def test_a_stall_of_our_own_is_no_silence_of_redis() -> None:
    """TH1: a worker that counts by itself while Redis still answers the others could overshoot."""
    silence = Silence()
    silence.begin(0.0, 0.002, 0)
    now = _ticks(silence, 6, 0.0, apart=0.02)
    assert not silence.longer_than(_DEADLINE, now)
    now = _ticks(silence, 50, now)
    assert silence.longer_than(_DEADLINE, now)


def test_no_patience_lasts_for_ever() -> None:
    """TH8: a request waits for a quarter of a second at worst, on a machine where every tick is late."""
    silence = Silence()
    silence.begin(0.0, 0.002, 0)
    assert silence.longer_than(_DEADLINE, _ticks(silence, 13, 0.0, apart=0.02))


def test_a_crowd_for_the_processors_asks_for_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """TH1: Redis waits for its turn as well."""
    monkeypatch.setattr(silences, "_short_of_processors", lambda: True)
    silence = Silence()
    silence.begin(0.0, 0.002, 0)
    assert not silence.longer_than(_DEADLINE, _ticks(silence, 20, 0.001))
    assert silence.longer_than(_DEADLINE, _ticks(silence, 40, 0.021))


def test_a_redis_that_is_known_to_take_longer_is_given_longer() -> None:
    trips = RoundTrips()
    assert trips.longest(_DEADLINE) == _DEADLINE
    for _ in range(50):
        trips.saw(0.02)
    assert 0.02 <= trips.longest(_DEADLINE) <= 0.05
