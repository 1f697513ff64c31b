"""Redis hanging and killed under worker processes that ask as fast as they can."""

import asyncio
from pathlib import Path
from time import monotonic

import pytest

from tests.fixtures.servers import RedisFactory
from tests.integration.throttle.loads import Fleet, most_in_any_window

pytestmark = pytest.mark.anyio

_QUOTA = 100


@pytest.mark.parametrize("fault", ["hangs", "dies"])
async def test_all_processes_together_give_at_most_the_limit_while_redis_is_away(
    tmp_path: Path, start_redis: RedisFactory, fault: str
) -> None:
    """TH8: in every sliding window, before, while and after Redis was away, and over the moments of change."""
    server = start_redis()
    fleet = Fleet(tmp_path, server.url, [("burst", _QUOTA, 1)])
    fleet.launch([0.0] * 4, 4.5)
    await asyncio.sleep(fleet.start + 1.3 - monotonic())
    server.pause() if fault == "hangs" else server.kill()
    away = monotonic()
    await asyncio.sleep(1.5)
    server.resume() if fault == "hangs" else await asyncio.to_thread(server.start)
    back = monotonic()
    outcome = await asyncio.to_thread(fleet.join)
    assert most_in_any_window(outcome.admissions, 1) <= _QUOTA
    assert sum(away + 0.3 < moment < back for moment in outcome.admissions) >= _QUOTA // 2
    assert sum(moment > back + 0.5 for moment in outcome.admissions) >= _QUOTA // 2
