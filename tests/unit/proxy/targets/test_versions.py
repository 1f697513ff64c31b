"""New versions of the configuration while requests run, against servers on real sockets."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.proxy.targets.outcomes import Outcome
from gateway.proxy.targets.target import Breaker
from gateway.proxy.targets.upstreams import Upstreams
from tests.unit.proxy.targets.servers import Server, request, running, servers, spec_of, until, unused_url

pytestmark = pytest.mark.anyio


async def _load(upstreams: Upstreams, stopped: Callable[[], bool]) -> tuple[list[int], int]:
    """Requests of eight clients until then: the statuses, and the number that failed."""
    statuses: list[int] = []
    failed = 0

    async def client() -> None:
        nonlocal failed
        while not stopped():
            try:
                statuses.append(await request(upstreams["echo"]))
            except Exception:  # noqa: BLE001 - counted
                failed += 1

    await asyncio.gather(*(client() for _ in range(8)))
    return statuses, failed


async def test_an_unchanged_upstream_and_unchanged_targets_stay() -> None:
    """With their connections, health and counters; a change of weights, budget or others is no reason."""
    async with servers(2) as (one, two), running(spec_of([one.url])) as upstreams:
        upstream = upstreams["echo"]
        (target,) = upstream.targets()
        await request(upstream)
        upstreams.apply([spec_of([one.url])])
        assert upstreams["echo"] is upstream
        upstreams.apply([spec_of([two.url, one.url], retry_budget=0.5, outliers={"failures": 9})])
        changed = upstreams["echo"]
        assert changed is not upstream
        assert list(changed.targets())[1] is target
        assert (target.pool.idle, changed.counters, changed.budget.share) == (1, upstream.counters, 0.5)
        await request(changed)
        await request(upstream)  # of a request that was routed before
        assert one.connections == 1


async def test_a_target_with_other_connection_settings_keeps_its_health() -> None:
    """Another deadline needs other connections; what is known of the target stays known."""
    outliers = {"failures": 1}
    async with servers(1) as (server,), running(spec_of([unused_url(), server.url], outliers=outliers)) as upstreams:
        dead, _ = upstreams["echo"].targets()
        dead.began(upstreams["echo"].meter("route")).ended(Outcome.NO_CONNECTION, 0.01)
        assert dead.breaker is Breaker.OPEN
        timeouts = {"first_byte": 1}
        upstreams.apply([spec_of([dead.name, server.url], outliers=outliers, timeouts=timeouts)])
        still_dead, _ = upstreams["echo"].targets()
        assert still_dead is not dead
        assert (still_dead.breaker, still_dead.ejected_until) == (Breaker.OPEN, dead.ejected_until)


async def test_requests_to_a_removed_target_finish_and_then_its_pool_is_closed() -> None:
    """Drained, not cut off."""
    async with servers(2) as (old, new), running(spec_of([old.url]), grace=0) as upstreams:
        upstream = upstreams["echo"]
        (target,) = upstream.targets()
        old.delay = 0.1
        running_request = asyncio.create_task(request(upstream))
        await until(lambda: old.requests == 1)
        upstreams.apply([spec_of([new.url])])
        assert await request(upstreams["echo"]) == 200
        assert (old.requests, new.requests) == (1, 1)
        upstreams._close_removed()  # as once a second
        assert await running_request == 200
        assert target.pool.idle == 1
        upstreams._close_removed()
        await until(lambda: target.pool.size == 0)
        assert upstreams["echo"].pick("acme") is not target


async def test_targets_are_added_and_removed_under_load_without_a_failed_request() -> None:
    """Each version takes one of three servers away, and brings another back."""
    async with servers(3) as three, running(spec_of([three[0].url]), grace=0) as upstreams:
        done = False
        load = asyncio.create_task(_load(upstreams, lambda: done))
        for turn in range(20):
            urls = [three[(turn + each) % 3].url for each in range(2)]
            upstreams.apply([spec_of(urls, outliers={"slow_start": 0})])
            await asyncio.sleep(0.01)
        done = True
        statuses, failed = await load
        assert (set(statuses), failed) == ({200}, 0)
        assert len(statuses) > 100
        assert all(server.requests for server in three)


async def _restart(server: Server) -> None:
    await server.kill()
    await asyncio.sleep(0.03)
    await server.start()


async def test_restarts_under_load_lose_no_idempotent_request() -> None:
    """PX10: every request in flight on the killed server is sent to another one."""
    async with servers(2) as both, running(spec_of([each.url for each in both], retry_budget=1)) as upstreams:
        done = False
        for each in both:
            each.delay = 0.002
        load = asyncio.create_task(_load(upstreams, lambda: done))
        for turn in range(6):
            await asyncio.sleep(0.03)
            await _restart(both[turn % 2])
        done = True
        statuses, failed = await load
        assert (set(statuses), failed) == ({200}, 0)
        assert upstreams["echo"].budget.retries > 0
