"""Real worker processes that share one tenant through one real Redis.

The exact proof is in virtual time (test_grant_script.py); here the same holds with processes, sockets and a scheduler.
The bounds on the use of the quota are loose, since the machine may be busy.
"""

import asyncio
import signal
from pathlib import Path
from time import monotonic

import pytest

from gateway.development.redis import LocalRedis
from tests.integration.throttle.fleet import Fleet


def _fleet(folder: Path, server: LocalRedis, *windows: tuple[str, int, int]) -> Fleet:
    return Fleet(folder, server.url, windows)


pytestmark = pytest.mark.anyio

_FLAT_OUT = 0.0
_SECONDS = 3.0


@pytest.mark.parametrize(
    ("quota", "rates"),
    [
        (200, [_FLAT_OUT]),
        (10, [_FLAT_OUT] * 4),
        (1000, [_FLAT_OUT] * 8),
        (1000, [1500.0, 10.0, 10.0, 10.0]),
    ],
)
def test_no_window_over_all_processes_holds_more_than_its_quota(
    tmp_path: Path, redis_server: LocalRedis, quota: int, rates: list[float]
) -> None:
    """TH1: with 1, 4 and 8 workers, even and skewed, every sliding window of admissions."""
    fleet = _fleet(tmp_path, redis_server, ("burst", quota, 1), ("sustained", 20 * quota, 60))
    fleet.launch(rates, _SECONDS)
    outcome = fleet.join()
    assert outcome.most_in_any_window(1) <= quota
    assert len(outcome.admissions) >= 0.8 * _SECONDS * quota


@pytest.mark.parametrize(("limit", "rates"), [(3, [40.0] * 4), (20, [400.0, 10.0, 10.0, 10.0])])
def test_no_more_requests_are_in_flight_over_all_processes_than_the_plan_allows(
    tmp_path: Path, redis_server: LocalRedis, limit: int, rates: list[float]
) -> None:
    """TH2: fewer permits than processes, and skewed load; refused requests cost no token."""
    fleet = _fleet(tmp_path, redis_server, ("burst", 100_000, 1))
    fleet.launch(rates, _SECONDS, concurrency=limit, duration=0.05)
    outcome = fleet.join()
    assert outcome.most_in_flight() <= limit
    assert len(outcome.admissions) >= 0.3 * min(sum(rates), limit / 0.05) * _SECONDS


async def test_tokens_of_a_killed_process_count_as_spent(tmp_path: Path, redis_server: LocalRedis) -> None:
    """TH1: they count until they expire."""
    fleet = _fleet(tmp_path, redis_server, ("burst", 1000, 1))
    fleet.launch([_FLAT_OUT] * 4, 4.0)
    await asyncio.sleep(fleet.start + 1.5 - monotonic())
    fleet.processes[0].send_signal(signal.SIGKILL)
    outcome = fleet.join(killed=[0])
    assert outcome.most_in_any_window(1) <= 1000
    assert sum(moment > fleet.start + 3.0 for moment in outcome.admissions) >= 700
