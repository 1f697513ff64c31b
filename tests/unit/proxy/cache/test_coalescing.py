"""Concurrent misses of one key: one request to the upstream, whose faults concern its own client alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import Send

from gateway.proxy.cache import capture
from gateway.proxy.errors import AnswerCutShort, UpstreamError
from tests.asgi import Response
from tests.unit.proxy.cache.worlds import (
    LeavingClient,
    Seen,
    World,
    cached,
    principal,
    respond,
    settle,
    status_of,
)

pytestmark = pytest.mark.anyio

_START = {"type": "http.response.start", "status": 200, "headers": cached(b"max-age=60")}


class Gated(World):
    """The upstream answers each request when the test says so; ``first`` is what it does with the first one."""

    def __init__(self, **route: Any) -> None:
        super().__init__(**route)
        self.open = asyncio.Event()
        self.upstream.answering = self.answer
        self.upstream.headers = cached(b"max-age=60")
        self.tasks: list[asyncio.Task[Response]] = []

    async def answer(self, _seen: Seen, send: Send) -> None:
        number = self.upstream.calls
        await self.open.wait()
        await self.respond(number, send)

    async def respond(self, number: int, send: Send) -> None:
        await respond(send, self.upstream.status, self.upstream.headers, b"answer %d" % number)

    async def flood(self, count: int, *headers: tuple[bytes, bytes], **options: object) -> None:
        """So many requests, all of which wait."""
        self.tasks += [asyncio.ensure_future(self.ask("/a", *headers, **options)) for _ in range(count)]  # type: ignore[arg-type]
        await settle()

    async def results(self) -> list[Response | BaseException]:
        self.open.set()
        async with asyncio.timeout(5):
            return await asyncio.gather(*self.tasks, return_exceptions=True)


@asynccontextmanager
async def _flooded(world: Gated, count: int = 100) -> AsyncIterator[Gated]:
    await world.flood(count)
    assert world.upstream.calls == 1
    yield world
    assert (len(world.cache.fills), world.cache.fills.bytes) == (0, 0)


def _bodies(results: list[Response | BaseException]) -> list[bytes]:
    return [each.body for each in results if isinstance(each, Response) and each.ended]


async def test_a_hundred_misses_are_one_request() -> None:
    async with _flooded(Gated()) as world:
        results = await world.results()
    assert _bodies(results) == [b"answer 1"] * 100
    assert world.upstream.calls == 1
    assert world.cache.stats.outcomes == {
        "hit": 0, "stale": 0, "validated": 0, "collapsed": 99, "miss": 1, "bypass": 0, "refused": 0
    }  # fmt: skip
    assert isinstance(results[1], Response)
    assert status_of(results[1]) == "fwd=miss; collapsed"


async def test_tenants_and_principals_do_not_wait_for_one_another() -> None:
    world = Gated()
    for who in (principal(1), principal(2), principal(1, tenant=2)):
        await world.flood(5, who=who)
    assert world.upstream.calls == 3
    await world.results()
    assert world.upstream.calls == 3


@pytest.mark.parametrize("control", [b"private", b"no-store", b"no-cache", b"max-age=0"])
async def test_an_answer_that_is_for_one_serialises_no_other(control: bytes) -> None:
    """Each goes on by itself, all at one time; later misses of the key do not wait at all."""
    world = Gated()
    world.upstream.headers = cached(control, (b"etag", b'"1"'))
    async with _flooded(world, 20):
        world.upstream.answering = lambda _seen, send: world.respond(world.upstream.calls, send)
        results = await world.results()
    assert len(set(_bodies(results))) == 20
    world.open = asyncio.Event()
    world.upstream.answering, world.tasks = world.answer, []
    await world.flood(5)
    assert world.upstream.calls == 25
    await world.results()


@pytest.mark.parametrize("error", [UpstreamError(), RuntimeError("a fault of ours")])
async def test_a_failed_request_fails_no_other(error: Exception) -> None:
    world = Gated()

    async def fail(_seen: Seen, send: Send) -> None:
        if world.upstream.calls > 1:
            await world.respond(world.upstream.calls, send)
            return
        await world.open.wait()
        raise error

    world.upstream.answering = fail
    async with _flooded(world, 20):
        results = await world.results()
    assert results[0] is error
    assert len(_bodies(results)) == 19


async def test_an_answer_that_is_cut_is_for_no_client() -> None:
    """PX9: the one whose request it was gets an error, as nothing was sent; the others get whole answers."""
    world = Gated()

    async def cut(_seen: Seen, send: Send) -> None:
        if world.upstream.calls > 1:
            await world.respond(world.upstream.calls, send)
            return
        await world.open.wait()
        await send(_START)
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise AnswerCutShort

    world.upstream.answering = cut
    async with _flooded(world, 20):
        results = await world.results()
    assert isinstance(results[0], AnswerCutShort)
    assert b"half" not in _bodies(results)
    assert len(_bodies(results)) == 19


async def test_an_answer_that_is_shorter_than_it_says_is_not_stored() -> None:
    """RFC 9111 section 3.3."""
    world = World()
    world.upstream.headers = cached(b"max-age=60", (b"content-length", b"100"))
    await world.ask()
    await world.ask()
    assert world.upstream.calls == 2


async def test_a_cancelled_request_cancels_no_other() -> None:
    """A worker that stops, or a deadline of one request."""
    async with _flooded(Gated(), 20) as world:
        world.tasks[0].cancel()
        await settle()
        results = await world.results()
    assert isinstance(results[0], asyncio.CancelledError)
    assert len(_bodies(results)) == 19


async def test_a_client_that_leaves_ends_nothing_that_others_wait_for() -> None:
    """The answer is brought for the others, and stored."""
    world, client = Gated(), LeavingClient()
    await world.flood(1, client=client)
    await world.flood(9)
    client.leave()
    await settle()
    results = await world.results()
    assert _bodies(results)[1:] == [b"answer 1"] * 9
    assert world.upstream.calls == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
async def test_the_last_client_that_leaves_ends_the_request(order: tuple[int, ...]) -> None:
    """PX9: the upstream does not work for answers that no client waits for."""
    world = Gated()
    ended = asyncio.Event()
    clients = [LeavingClient() for _ in range(3)]

    async def wait(_seen: Seen, _send: Send) -> None:
        await ended.wait()

    world.upstream.answering = wait
    fills: list[object] = []
    begin = world.cache.fills.begin
    world.cache.fills.begin = lambda fill, key: (fills.append(fill), begin(fill, key))  # type: ignore[method-assign,assignment,func-returns-value]
    for client in clients:
        await world.flood(1, client=client)
    fills[0].client.on_disconnect(ended.set)  # type: ignore[attr-defined]  # as the forwarder does
    for place in order[:-1]:
        clients[place].leave()
        await settle()
        assert not ended.is_set()
    clients[order[-1]].leave()
    await settle()
    assert ended.is_set()
    assert _bodies(await world.results()) == []
    assert (len(world.cache.fills), len(world.cache)) == (0, 0)


async def test_a_variant_waits_for_its_own() -> None:
    """Requests of another variant learn of it with the answer: then one of them brings theirs."""
    world = Gated()
    world.upstream.headers = cached(b"max-age=60", (b"vary", b"accept"))
    await world.flood(10, (b"accept", b"a"))
    await world.flood(10, (b"accept", b"b"))
    assert world.upstream.calls == 1
    results = await world.results()
    assert _bodies(results) == [b"answer 1"] * 10 + [b"answer 2"] * 10
    assert world.upstream.calls == 2


async def test_those_who_ask_for_a_new_answer_wait_for_none() -> None:
    """An answer that was begun before their request may be older than it."""
    world = Gated()
    await world.flood(3, (b"cache-control", b"no-cache"))
    assert world.upstream.calls == 3
    await world.results()


async def test_a_request_for_a_longer_life_does_not_get_a_shorter_one() -> None:
    """RFC 9111 section 5.2.1.3: it waited, and asks by itself when the answer is not what it wants."""
    world = Gated()
    await world.flood(1)
    await world.flood(1, (b"cache-control", b"min-fresh=61"))
    assert world.upstream.calls == 1
    assert _bodies(await world.results()) == [b"answer 1", b"answer 2"]


async def test_what_is_purged_while_it_is_brought_is_not_stored() -> None:
    """Nor do later requests wait for it."""
    world = Gated()
    await world.flood(1)
    world.cache.invalidate("00000000-0000-0000-0000-000000000001", "/a")
    await world.flood(1)
    assert world.upstream.calls == 2
    world.channel.notify("cache", "{}")
    results = await world.results()
    assert len(_bodies(results)) == 2
    assert len(world.cache) == 0


async def test_an_answer_that_takes_long_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first client gets it as it comes, and it is stored; the others do not wait for a slow end."""
    monkeypatch.setattr(capture, "_HELD_FOR", 0.05)
    world, sent = Gated(), asyncio.Event()

    async def slow(_seen: Seen, send: Send) -> None:
        if world.upstream.calls > 1:
            await world.respond(world.upstream.calls, send)
            return
        await send(_START)
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        world.clock.now += 1.1
        await send({"type": "http.response.body", "body": b"b", "more_body": True})
        await sent.wait()
        await send({"type": "http.response.body", "body": b"c", "more_body": False})

    world.upstream.answering = slow
    await world.flood(3)
    async with asyncio.timeout(5):
        await asyncio.gather(*world.tasks[1:])  # by a timer
    sent.set()
    results = await world.results()
    assert isinstance(results[0], Response)
    assert (results[0].body, status_of(results[0])) == (b"abc", "fwd=uri-miss")


@pytest.mark.parametrize(("size", "stored"), [(1_000, True), (1_001, False)])
@pytest.mark.parametrize("declared", [True, False])
async def test_the_largest_answer(size: int, *, stored: bool, declared: bool) -> None:
    """At the bound and beyond: a larger one passes through in pieces, and the others go on by themselves."""
    world = World(cache={"largest_bytes": 1_000})
    sizes: list[int] = []

    async def pieces(_seen: Seen, send: Send) -> None:
        length = [(b"content-length", b"%d" % size)] if declared else []
        await send({**_START, "headers": [*cached(b"max-age=60"), *length]})
        for start in range(0, size, 100):
            piece = b"x" * min(100, size - start)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            sizes.append(world.cache.fills.bytes)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    world.upstream.answering = pieces
    first, second = await world.ask(), await world.ask()
    assert (len(first.body), len(second.body)) == (size, size)
    assert (world.upstream.calls == 1) is stored
    assert max(sizes) == (0 if declared and not stored else 1_000)
    assert world.cache.fills.bytes == 0
