"""The bounds on Redis's clock hold for any sequence of replies."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.throttle.clock import ServerClock

_OFFSET = 1_795_000_000_000_000  # microseconds between the two clocks
_gap = st.floats(0, 2)
_Trip = tuple[float, float, float]
_trips = st.lists(st.tuples(_gap, st.floats(0, 0.3), st.floats(0, 0.3)), min_size=1, max_size=20)


def _after(trips: list[_Trip], drift: float) -> tuple[ServerClock, float]:
    """A clock after these round trips (pause, time there, time back, in seconds), and the moment of the last."""
    clock, now = ServerClock(), 100.0
    for pause, there, back in trips:
        sent = now + pause
        now = sent + there + back
        clock.observe(sent=sent, received=now, server=_true(sent + there, drift))
    return clock, now


def _true(moment: float, drift: float) -> int:
    return int(moment * (1 + drift) * 1_000_000) + _OFFSET


@given(_trips, st.floats(-1e-4, 1e-4), st.floats(0, 1))
def test_the_clock_never_exceeds_its_upper_bound(trips: list[_Trip], drift: float, later: float) -> None:
    """TH1: what is reported as spent by a moment was spent by then; otherwise a window would overshoot."""
    clock, now = _after(trips, drift)
    assert _true(now + later, drift) <= clock.latest(now + later) + 1


@given(_trips, st.floats(-1e-4, 1e-4), st.integers(0, 1_000_000))
def test_no_promised_token_is_spent_early_and_no_lease_late(trips: list[_Trip], drift: float, ahead: int) -> None:
    """TH1: the bounds err on the safe side."""
    clock, now = _after(trips, drift)
    server = _true(now, drift) + ahead
    assert _true(clock.certainly_after(server), drift) >= server - 2
    assert _true(clock.possibly_after(server), drift) <= server + 2


def test_one_slow_reply_does_not_widen_the_bounds() -> None:
    quick: _Trip = (0.0, 0.0001, 0.0001)
    clock, now = _after([quick, (0.0, 0.1, 0.1)], 0.0)
    assert clock.latest(now) - _true(now, 0.0) < 1_000


def test_a_clock_that_was_set_is_followed() -> None:
    clock, now = _after([(0.0, 0.001, 0.001)], 0.0)
    hour = 3_600_000_000
    clock.observe(sent=now, received=now + 0.001, server=_true(now, 0.0) - hour)
    assert abs(clock.latest(now + 0.001) - (_true(now + 0.001, 0.0) - hour)) < 2_000
