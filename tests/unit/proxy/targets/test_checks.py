"""Active health checks, against servers on real sockets."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.proxy.targets.errors import NoTarget
from gateway.proxy.targets.target import Health, Target, TargetState
from tests.unit.proxy.targets.servers import (
    Behaviour,
    answer,
    drip,
    request,
    running,
    say_nothing,
    servers,
    spec_of,
    until,
)

pytestmark = pytest.mark.anyio

_HEALTH = {"path": "/health", "interval": 0.1, "timeout": 0.05, "healthy_after": 2, "unhealthy_after": 3}


def _ready(targets: Sequence[Target]) -> bool:
    return all(target.state is TargetState.READY for target in targets)


@pytest.mark.parametrize(
    ("behaviour", "status"), [(answer, 500), (say_nothing, 0), (drip, 0)], ids=["500", "silent", "slow"]
)
async def test_a_target_that_fails_its_checks_gets_no_requests_until_it_passes_them(
    behaviour: Behaviour, status: int
) -> None:
    """PX8, PX10: a wrong status, silence, and an answer at one byte a second; each within the check's timeout."""
    async with servers(2) as (good, bad), running(spec_of([good.url, bad.url], health=_HEALTH)) as upstreams:
        upstream = upstreams["echo"]
        good_target, bad_target = upstream.targets()
        await until(lambda: _ready([good_target, bad_target]))
        bad.behaviour, bad.status = behaviour, status
        checks = bad.requests
        await until(lambda: bad_target.health is Health.UNHEALTHY)
        assert bad.requests - checks == 3
        assert {upstream.pick("acme") for _ in range(50)} == {good_target}
        bad.behaviour, bad.status = answer, 204
        checks = bad.requests
        await until(lambda: bad_target.health is Health.HEALTHY)
        assert bad.requests - checks in {2, 3}  # the last failing one may be under way
        assert upstream.counters.checks_failed == 3


async def test_all_targets_down_is_an_error_that_says_when_to_retry_and_ends_with_them() -> None:
    """503 at once while all are known to be down; service resumes with the first that passes its checks."""
    async with servers(2) as both, running(spec_of([each.url for each in both], health=_HEALTH)) as upstreams:
        upstream = upstreams["echo"]
        await until(lambda: _ready(upstream.shared.targets))
        for server in both:
            await server.kill()
        await until(lambda: all(each.health is Health.UNHEALTHY for each in upstream.targets()))
        with pytest.raises(NoTarget) as refused:
            await request(upstream)
        assert refused.value.retry_after == 1
        await both[1].start()
        await until(lambda: upstream.shared.targets[1].health is Health.HEALTHY)
        assert [await request(upstream) for _ in range(10)] == [200] * 10


async def test_checks_need_none_of_the_connections_for_requests() -> None:
    """A target whose every connection has a slow request is busy, and not down."""
    async with servers(1) as (server,), running(spec_of([server.url], health=_HEALTH, connections=1)) as upstreams:
        upstream = upstreams["echo"]
        (target,) = upstream.targets()
        connection = await target.pool.connect()
        passed = upstream.counters.checks_passed
        await until(lambda: upstream.counters.checks_passed >= passed + 5)
        assert upstream.counters.checks_failed == 0
        target.pool.release(connection)


async def test_an_added_target_gets_requests_when_it_has_passed_a_check() -> None:
    """A target is added under load before its process has started."""
    async with servers(2) as (first, added), running(spec_of([first.url], health=_HEALTH)) as upstreams:
        await until(lambda: _ready(upstreams["echo"].shared.targets))
        added.status = 503
        upstreams.apply([spec_of([first.url, added.url], health=_HEALTH)])
        upstream = upstreams["echo"]
        first_target, added_target = upstream.targets()
        await until(lambda: added.requests >= 1)
        assert {upstream.pick("acme") for _ in range(50)} == {first_target}
        added.status = 200
        await until(lambda: added_target.state is TargetState.READY)
        await until(lambda: upstream.pick("acme") is added_target)


async def test_checks_end_with_their_target() -> None:
    """A removed target, or one without checks, is not asked any more, and counts as healthy."""
    async with servers(2) as (one, two), running(spec_of([one.url, two.url], health=_HEALTH)) as upstreams:
        one.status = 500
        (first, _) = upstreams["echo"].targets()
        await until(lambda: first.health is Health.UNHEALTHY)
        upstreams.apply([spec_of([one.url])])
        assert first.health is Health.HEALTHY
        await asyncio.sleep(0.05)  # those under way end
        requests = one.requests, two.requests
        await asyncio.sleep(0.25)
        assert (one.requests, two.requests) == requests
