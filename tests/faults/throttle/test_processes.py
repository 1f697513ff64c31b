"""Redis hangs and dies under worker processes that together get four times the limit."""

import asyncio
from pathlib import Path
from time import monotonic

import pytest

from tests.fixtures.servers import RedisFactory
from tests.integration.throttle.fleet import Fleet

pytestmark = pytest.mark.anyio

_QUOTA = 100


@pytest.mark.parametrize("fault", ["hangs", "dies"])
async def test_all_processes_together_admit_at_most_the_limit_while_redis_is_down(
    tmp_path: Path, start_redis: RedisFactory, fault: str
) -> None:
    """TH8: in every sliding window, before, during and after the outage."""
    server = start_redis()
    fleet = Fleet(tmp_path, server.url, [("burst", _QUOTA, 1)])
    fleet.launch([100.0] * 4, 8.0, deadline_seconds=0.005)
    await asyncio.sleep(fleet.start + 1.3 - monotonic())
    server.pause() if fault == "hangs" else server.kill()
    away = monotonic()
    await asyncio.sleep(3.2)
    server.resume() if fault == "hangs" else await asyncio.to_thread(server.start)
    back = monotonic()
    outcome = await asyncio.to_thread(fleet.join)
    assert outcome.most_in_any_window(1) <= _QUOTA
    # For one window and a lease's TTL, what Redis had granted still counts; from then on the whole shares are admitted.
    assert sum(away + 2 < moment < back for moment in outcome.admissions) >= _QUOTA // 2
    assert sum(moment > back + 1.5 for moment in outcome.admissions) >= _QUOTA // 2
