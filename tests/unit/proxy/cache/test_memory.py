"""What a worker stores is bounded in bytes, and no tenant drops what others have stored."""

import asyncio
import gc
import tracemalloc

import pytest
from starlette.types import Send

from gateway.proxy.cache.purges import Pattern
from gateway.proxy.cache.shares import MOST_VARIANTS
from tenants.routes.purges import Purge, PurgeSpec
from tests.unit.proxy.cache.worlds import Seen, World, cached, principal, respond, settle, status_of

pytestmark = pytest.mark.anyio


async def test_the_bytes_are_bounded_and_the_least_recently_used_go_first() -> None:
    world = World(limit=400_000)
    world.upstream.headers, world.upstream.body = cached(b"max-age=60"), b"x" * 1_000
    for number in range(200):
        await world.ask(f"/{number}")
        assert world.cache.bytes <= 300_000
        await world.ask("/0")
    assert world.cache.stats.evictions > 0
    assert status_of(await world.ask("/0")).startswith("hit")
    assert status_of(await world.ask("/199")).startswith("hit")
    assert not status_of(await world.ask("/1")).startswith("hit")


async def test_the_largest_entry_is_a_part_of_the_bytes() -> None:
    """An eighth of what is configured, with all that it occupies."""
    world = World(limit=80_000)
    world.upstream.headers = cached(b"max-age=60")
    for size, stored in ((6_000, True), (10_000, False)):
        world.upstream.body = b"x" * size
        await world.ask(f"/{size}")
        assert status_of(await world.ask(f"/{size}")).startswith("hit") is stored


async def test_one_tenant_drops_no_others_answers() -> None:
    """A tenant with less than half of the largest tenant's bytes loses nothing."""
    world = World(limit=400_000)
    world.upstream.headers, world.upstream.body = cached(b"max-age=60"), b"x" * 1_000
    for number in range(20):
        await world.ask(f"/{number}", who=principal(2, tenant=2))
    for number in range(500):
        await world.ask(f"/{number}")
    before = world.upstream.calls
    for number in range(20):
        assert status_of(await world.ask(f"/{number}", who=principal(2, tenant=2))).startswith("hit")
    assert world.upstream.calls == before
    assert world.cache.bytes <= 300_000


async def test_answers_that_are_being_received_are_bounded() -> None:
    """A quarter of the bytes, half of them for one tenant: the others pass through and are not stored."""
    world = World(limit=80_000)
    opened = asyncio.Event()

    async def large(_seen: Seen, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": cached(b"max-age=60")})
        await send({"type": "http.response.body", "body": b"x" * 6_000, "more_body": True})
        await opened.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    world.upstream.answering = large
    own = [asyncio.ensure_future(world.ask(f"/{number}")) for number in range(5)]
    await settle()
    assert world.cache.fills.bytes == 6_000  # of 10,000
    others = [asyncio.ensure_future(world.ask("/0", who=principal(2, tenant=tenant))) for tenant in range(2, 9)]
    await settle()
    assert world.cache.fills.bytes == 18_000  # of 20,000
    opened.set()
    for response in await asyncio.gather(*own, *others):
        assert (len(response.body), response.ended) == (6_000, True)
    assert world.cache.fills.bytes == 0
    assert len([each for each in await asyncio.gather(*own) if "stored" in status_of(each)]) == 1


async def test_variants_of_a_key_are_bounded() -> None:
    """A field with endless values drops the oldest: sixteen stay."""
    world = World()
    world.upstream.headers = cached(b"max-age=60", (b"vary", b"user-agent"))
    for number in range(MOST_VARIANTS + 1):
        await world.ask("/a", (b"user-agent", b"%d" % number))
    for number, hit in ((1, True), (MOST_VARIANTS, True), (0, False)):
        assert status_of(await world.ask("/a", (b"user-agent", b"%d" % number))).startswith("hit") is hit


@pytest.mark.parametrize("size", [10, 2_000])
async def test_what_is_accounted_is_what_is_occupied(size: int) -> None:
    """The bytes in the settings are those of the process, and not many more, for small answers and larger ones."""
    world = World(limit=100_000_000)

    async def answer(seen: Seen, send: Send) -> None:
        fields = cached(b"max-age=60", (b"etag", b'"%b"' % seen.target), (b"x-name", b"a %b" % seen.target))
        received = [(bytes(bytearray(name)), bytes(bytearray(value))) for name, value in fields]
        await respond(send, 200, received, seen.target.ljust(size, b"."))
        world.upstream.seen.clear()

    world.upstream.answering = answer
    await world.ask("/warm")
    gc.collect()
    tracemalloc.start()
    before, accounted = tracemalloc.get_traced_memory()[0], world.cache.bytes
    for number in range(300):
        await world.ask(f"/orders/{number}")
    gc.collect()
    taken, accounted = tracemalloc.get_traced_memory()[0] - before, world.cache.bytes - accounted
    tracemalloc.stop()
    assert 0.8 * accounted <= taken <= accounted, (taken / 300, accounted / 300)


_PATHS = ("/orders", "/orders/1", "/orders/1/x", "/ordersx", "/other")


@pytest.mark.parametrize(
    ("payload", "left"),
    [
        ("{}", set()),
        ('{"route":"echo"}', set()),
        ('{"route":"other"}', {*_PATHS}),
        ('{"path":"/orders"}', {*_PATHS} - {"/orders"}),
        ('{"path_prefix":"/orders"}', {"/ordersx", "/other"}),
        ('{"path_prefix":"/orders/"}', {"/orders", "/ordersx", "/other"}),
        ('{"path_prefix":"/"}', set()),
        ('{"tenant":"00000000-0000-0000-0000-000000000001"}', set()),
        ('{"tenant":"00000000-0000-0000-0000-000000000002"}', {*_PATHS}),
        ('{"tenant":"00000000-0000-0000-0000-000000000001","path":"/other"}', {*_PATHS} - {"/other"}),
        ('{"made_by_a_later_release":true}', set()),
    ],
)
async def test_a_purge_drops_what_it_names(payload: str, left: set[str]) -> None:
    world = World()
    world.upstream.headers = cached(b"max-age=60")
    for path in _PATHS:
        await world.ask(path)
    world.channel.notify("cache", payload)
    calls = world.upstream.calls
    hits = {path for path in _PATHS if status_of(await world.ask(path)).startswith("hit")}
    assert hits == left
    assert world.upstream.calls == calls + len(_PATHS) - len(left)


@pytest.mark.parametrize(
    ("kind", "changed", "hit"),
    [
        ("reset", "", False),
        ("plan", "free", False),  # upstreams may get its features
        ("tenant", "00000000-0000-0000-0000-000000000001", False),
        ("tenant", "00000000-0000-0000-0000-000000000002", True),
        ("user", "00000000-0000-0000-0000-000000000001", True),
    ],
)
async def test_changes_end_what_was_made_from_them(kind: str, changed: str, *, hit: bool) -> None:
    """ID14: after a reset, notifications may have been missed."""
    world = World()
    world.upstream.headers = cached(b"max-age=60")
    await world.ask()
    world.channel.notify(kind, changed)
    assert status_of(await world.ask()).startswith("hit") is hit


async def test_a_large_purge_is_in_force_at_once_and_blocks_nothing() -> None:
    """LD1: what it concerns is dropped 500 keys at a time, and not used meanwhile."""
    world = World(limit=20_000_000)
    world.upstream.headers = cached(b"max-age=60")
    for number in range(2_000):
        await world.ask(f"/{number}")
    world.cache.purge(Pattern(path_prefix="/"))
    assert len(world.cache) == 1_500
    assert not status_of(await world.ask("/1999")).startswith("hit")
    await settle()
    assert len(world.cache) <= 1
    world.cache.purge(Pattern(path_prefix="/"))
    assert world.cache.bytes == 0
    await world.ask("/1999")
    assert status_of(await world.ask("/1999")).startswith("hit")


@pytest.mark.parametrize("path", ["orders", "/a\n", "/" + "a" * 1_000, "/a\x00"])
def test_a_purge_names_a_path(path: str) -> None:
    """LD1: a notification has at most 8,000 bytes."""
    with pytest.raises(ValueError, match="path"):
        PurgeSpec.model_validate({"path": path})
    assert len(Purge(path="/" + "\U0001f600" * 999).model_dump_json().encode()) < 7_000


@pytest.mark.parametrize(("seconds", "kept"), [(3_659, True), (3_660, False)])
async def test_what_can_be_of_no_use_is_dropped_in_time(seconds: int, *, kept: bool) -> None:
    """An hour after it was stale, when the tenant's next answer is stored."""
    world = World()
    world.upstream.headers = cached(b"max-age=60")
    await world.ask("/old")
    world.clock.now += seconds
    await world.ask("/new")
    assert len(world.cache) == 1 + kept
