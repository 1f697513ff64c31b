"""``BodyPace``: when a body is too slow (PX8)."""

import pytest

from gateway.http1.body_pace import BodyPace
from gateway.http1.timeouts import Limits


@pytest.mark.parametrize(("now", "left"), [(111.9, 0.1), (112.0, 0.0)])
def test_the_rate_is_judged_without_the_time_in_which_nothing_was_read(now: float, left: float) -> None:
    """PX8, PX11: a client must not pay for an upstream that takes its body slowly."""
    pace = BodyPace(Limits(grace=10, min_rate=1_000), 0.0)
    for second in range(10):
        pace.pause(10.0 * second)
        pace.resume(10.0 * second + 10.0)
    pace.received = 2_000
    assert pace.seconds_left(now) == pytest.approx(left)
