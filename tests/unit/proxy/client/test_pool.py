"""Connections are kept, bounded and shared fairly."""

import asyncio
from pathlib import Path

import pytest

from gateway.proxy.client.connection import UpstreamConnection
from gateway.proxy.client.errors import (
    ADDRESS_NOT_ADMITTED,
    POOL_CLOSED,
    REFUSED,
    ConnectFailed,
    ConnectTimedOut,
    TooManyConnections,
    UpstreamFailed,
)
from gateway.proxy.client.pool import ConnectionPool
from gateway.proxy.client.settings import ConnectionSettings, TargetAddress
from tenants.routes.schemas import TargetSpec, UpstreamSpec
from tests.fixtures.pools import GET, begin, exchange, pool_to, until
from tests.fixtures.upstreams import UpstreamSide, always, answer, scripted_upstream, silent, unreachable_port

pytestmark = pytest.mark.anyio


async def _failure_of(pool: ConnectionPool) -> UpstreamFailed:
    with pytest.raises(UpstreamFailed) as raised:
        await pool.connect()
    return raised.value


@pytest.mark.parametrize(
    ("url", "address", "authority"),
    [
        ("http://a.example", TargetAddress("a.example", 80), "a.example"),
        ("http://a.example:8080", TargetAddress("a.example", 8080), "a.example:8080"),
        ("https://a.example:443", TargetAddress("a.example", 443, tls=True), "a.example"),
        ("https://[::1]:80", TargetAddress("::1", 80, tls=True), "[::1]:80"),
        ("unix:/run/a.sock", TargetAddress("localhost", unix_path="/run/a.sock"), "localhost"),
    ],
)
def test_addresses_of_targets(url: str, address: TargetAddress, authority: str) -> None:
    assert TargetAddress.parse(url) == address
    assert address.authority == authority


def test_settings_of_an_upstream() -> None:
    spec = UpstreamSpec(name="echo", targets=(TargetSpec(url="http://a"),))
    assert ConnectionSettings.of(spec, public_only=False) == ConnectionSettings()


async def test_the_connection_that_was_used_last_is_used_next() -> None:
    """PX8: the others become idle, and end after ``idle_seconds``."""
    async with scripted_upstream(always(answer())) as upstream, pool_to(upstream.url, idle_seconds=0.3) as pool:
        first, second = await pool.connect(), await pool.connect()
        pool.release(first)
        pool.release(second)
        count = 0
        while not first.closed:
            await exchange(pool)
            await asyncio.sleep(0.01)
            count += 1
        assert [len(side.received) for side in upstream.connections] == [0, count * len(GET)]
        assert (pool.idle, second.closed) == (1, False)
        await until(lambda: pool.size == 0)


async def test_a_target_has_a_bound_on_connections() -> None:
    """PX8: further requests wait for one, and no longer than for a connection."""
    async with (
        scripted_upstream(always(answer())) as upstream,
        pool_to(upstream.url, connections=2, connect=0.2) as pool,
    ):
        held = [await pool.connect(), await pool.connect()]
        assert isinstance(await _failure_of(pool), TooManyConnections)
        waiting = asyncio.ensure_future(pool.connect())
        await until(lambda: pool.waiting == 1)
        pool.release(held[0])
        assert await waiting is held[0]
        waiting = asyncio.ensure_future(pool.connect())
        await until(lambda: pool.waiting == 1)
        held[1].abort()
        assert await waiting not in held
        assert (pool.size, len(upstream.connections)) == (2, 3)


async def test_a_new_connection_takes_the_place_of_an_idle_one() -> None:
    """PX10: who has met a stale connection does not wait behind other stale ones."""
    async with scripted_upstream(always(answer())) as upstream, pool_to(upstream.url, connections=2) as pool:
        held = [await pool.connect(), await pool.connect()]
        for connection in held:
            pool.release(connection)
        assert await pool.connect() not in held
        assert (held[0].closed, held[1].closed, pool.size) == (True, False, 2)


async def test_the_queue_is_short_and_fair() -> None:
    """IS10: a tenant that floods the queue waits behind itself."""
    async with scripted_upstream(always(answer())) as upstream, pool_to(upstream.url, connections=1) as pool:
        held, order = await pool.connect(), list[str]()

        async def use(source: str) -> None:
            connection = await pool.connect(source)
            order.append(source)
            pool.release(connection)

        users = [asyncio.create_task(use("flood")) for _ in range(15)]
        await until(lambda: pool.waiting == 15)
        users.append(asyncio.create_task(use("other")))
        await until(lambda: pool.waiting == 16)
        assert isinstance(await _failure_of(pool), TooManyConnections)
        users[3].cancel()  # a caller that left gets none
        pool.release(held)
        await asyncio.gather(*users, return_exceptions=True)
        assert (order.index("other"), len(order)) == (1, 15)
        assert (pool.size, pool.idle, pool.waiting) == (1, 1, 0)


async def test_no_slot_is_lost() -> None:
    """PX8: whatever happens to those that wait, connect and use."""

    async def script(side: UpstreamSide) -> None:
        await side.request()
        side.send(answer())
        await side.request()

    async with scripted_upstream(script) as upstream, pool_to(upstream.url, connections=3, connect=0.05) as pool:

        async def use(number: int) -> None:
            connection = pool.take() or await pool.connect(number % 5)
            try:
                connection.send(GET, method="GET")
                await connection.head()
            finally:
                pool.release(connection)

        tasks = [asyncio.create_task(use(number)) for number in range(16)]
        for round_ in range(40):
            tasks += [asyncio.create_task(use(number)) for number in range(4)]
            await asyncio.sleep(0.001)
            tasks[round_ * 3].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await until(lambda: pool.size == pool.idle)
        assert (pool.size <= 3, pool.waiting) == (True, 0)
        held = [pool.take() or await pool.connect() for _ in range(3)]
        assert len(set(held)) == 3


async def test_a_closed_pool_lets_exchanges_finish() -> None:
    """PX9: a target that is removed under load fails no request that it has."""
    async with scripted_upstream(always(answer(b"ok"))) as upstream, pool_to(upstream.url, connections=2) as pool:
        busy, idle = await begin(pool), await pool.connect()
        waiting = asyncio.ensure_future(pool.connect())
        await until(lambda: pool.waiting == 1)
        pool.release(idle)
        pool.release(await waiting)
        blocked = [await pool.connect() if pool.take() is None else None]
        await pool.close()
        assert (await busy.head()).body == b"ok"
        pool.release(busy)
        assert (pool.idle, blocked) == (0, [None])
        failure = await _failure_of(pool)
        assert isinstance(failure, ConnectFailed)
        assert failure.reason == POOL_CLOSED


async def test_a_target_that_refuses() -> None:
    """PX10: nothing reached it."""
    async with unreachable_port() as port, pool_to(f"http://127.0.0.1:{port}") as pool:
        failure = await _failure_of(pool)
        assert isinstance(failure, ConnectFailed)
        assert (failure.reason, pool.size) == (REFUSED, 0)


async def test_a_tls_handshake_that_hangs_ends_at_the_connect_deadline() -> None:
    """PX8: name, TCP and TLS together."""
    async with (
        scripted_upstream(silent) as upstream,
        pool_to(upstream.url.replace("http:", "https:"), connect=0.2) as pool,
    ):
        assert isinstance(await _failure_of(pool), ConnectTimedOut)
        assert pool.size == 0


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "upstream.sock"
    async with scripted_upstream(always(answer(b"ok")), path=path), pool_to(f"unix:{path}") as pool:
        assert (await exchange(pool)).body == b"ok"
        assert (await exchange(pool)).reusable
    async with pool_to(f"unix:{path}", public_only=True) as pool:  # PX1
        failure = await _failure_of(pool)
        assert isinstance(failure, ConnectFailed)
        assert failure.reason == ADDRESS_NOT_ADMITTED


async def test_a_connection_that_ends_while_it_is_handed_over_is_replaced() -> None:
    """PX10: the request that gets it learns that nothing was sent."""
    async with scripted_upstream(always(answer())) as upstream, pool_to(upstream.url, connections=1) as pool:
        held = await pool.connect()
        waiting: asyncio.Future[UpstreamConnection] = asyncio.ensure_future(pool.connect())
        await until(lambda: pool.waiting == 1)
        pool.release(held)
        held.abort()
        connection = await waiting
        with pytest.raises(UpstreamFailed):
            connection.send(GET, method="GET")
        pool.release(connection)
        assert (pool.size, (await exchange(pool)).status) == (0, 200)
