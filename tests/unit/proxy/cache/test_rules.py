"""RFC 9111, one row for each rule: what is stored, for how long, and what a request may ask for."""

import asyncio
from typing import Any

import pytest

from tests.asgi import Header
from tests.unit.proxy.cache.worlds import World, cached, principal, status_of

pytestmark = pytest.mark.anyio

_ETAG: Header = (b"etag", b'"1"')


@pytest.mark.parametrize(
    ("headers", "hits_after"),
    [
        (cached(b"max-age=60"), {0: True, 59: True, 60: False}),
        (cached(b"max-age=60, s-maxage=10"), {9: True, 10: False}),  # section 5.2.2.10
        (cached(b"s-maxage=60, max-age=10"), {11: True}),
        (cached(b"max-age=60, max-age=5"), {4: True, 5: False}),  # the more restrictive
        (cached(b'max-age="60"'), {59: True}),  # the quoted form
        (cached(b"MAX-AGE=60"), {59: True}),
        (cached(b"max-age=60", (b"age", b"50")), {9: True, 10: False}),
        (cached(b"max-age=60", (b"age", b"50, 1")), {9: True, 10: False}),  # the first member
        (cached(b"max-age=60", (b"age", b"-1")), {59: True}),
        (cached(b"max-age=60", (b"expires", b"0")), {59: True}),  # max-age comes first
        (cached(b"max-age=99999999999999999999"), {10**9: True}),
        (cached(b"public, max-age=60, immutable, x=y"), {59: True}),  # unknown directives
        (cached(b"must-revalidate, max-age=60"), {59: True, 60: False}),
        (cached(b"must-understand, no-store, max-age=60"), {59: True}),  # section 5.2.2.3
    ],
)
def test_an_answer_is_fresh_as_long_as_it_says(headers: list[Header], hits_after: dict[int, bool]) -> None:
    """RFC 9111 sections 4.2.1 and 4.2.3."""
    for seconds, hit in hits_after.items():
        asyncio.run(_check(headers, seconds, 200, hit=hit))


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, []),  # heuristics are off
        (200, [_ETAG]),
        (200, cached(b"public")),
        (200, cached(b"no-store, max-age=60")),
        (200, cached(b"private, max-age=60")),
        (200, cached(b'private="x", max-age=60')),
        (200, cached(b"max-age=0")),
        (200, cached(b"max-age=-1")),
        (200, cached(b"max-age=6x")),
        (200, cached(b"max-age")),
        (200, cached(b'max-age=60, x="')),  # malformed
        (200, cached(b"max-age=60;no-store")),
        (200, cached(b"no-cache, max-age=60")),
        (200, cached(b"max-age=60", (b"age", b"60"))),
        (200, cached(b"max-age=60", (b"vary", b"*"))),
        (200, cached(b"max-age=60", (b"vary", b"accept, *"))),
        (200, cached(b"max-age=60", (b"set-cookie", b"a=b"))),
        (200, cached(b"max-age=60", (b"content-type", b"text/event-stream"))),
        (200, cached(b"max-age=60", (b"cache-control", b"no-store"))),  # on a second line
        (200, [(b"expires", b"0")]),
        (200, [(b"expires", b"Thu, 01 Jan 1970 00:00:00 GMT")]),
        (200, [(b"expires", b"Fri, 31 Dec 2088 00:00:00 GMT"), (b"expires", b"0")]),
        (206, cached(b"max-age=60", (b"content-range", b"bytes 0-1/9"))),
        *[(status, cached(b"public, max-age=60")) for status in (400, 401, 403, 405, 413, 414, 429, 431, 500, 503)],
        (299, cached(b"must-understand, max-age=60")),
        *[
            (200, cached(b"max-age=60", (b"vary", name)))
            for name in (b"X-Forwarded-For", b"Forwarded", b"Traceparent", b"X-Request-Id")
        ],
    ],
)
def test_what_must_not_be_stored_is_asked_for_each_time(status: int, headers: list[Header]) -> None:
    """RFC 9111 section 3, and what one odd request could provoke for others."""
    asyncio.run(_check(headers, 0, status, hit=False))


@pytest.mark.parametrize("status", [200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 410])
def test_final_answers_are_stored_when_they_say_so(status: int) -> None:
    """RFC 9111 section 3: and only 200, 203, 204, 300, 301 and 308 by ``default_seconds``."""
    asyncio.run(_check(cached(b"max-age=60"), 59, status, hit=True))
    by_default = status in {200, 203, 204, 300, 301, 308}
    asyncio.run(_check([], 59, status, hit=by_default, cache={"default_seconds": 60}))


@pytest.mark.parametrize(
    ("headers", "hit"),
    [
        ([], True),
        (cached(b"public"), True),
        (cached(b"no-cache"), False),
        (cached(b"no-store"), False),
        (cached(b"private"), False),
        (cached(b"max-age=0"), False),
        ([(b"pragma", b"no-cache")], False),
        ([(b"expires", b"-1")], False),
    ],
)
def test_default_seconds_are_for_answers_that_say_nothing(headers: list[Header], *, hit: bool) -> None:
    asyncio.run(_check(headers, 59, 200, hit=hit, cache={"default_seconds": 60}))


async def _check(headers: list[Header], seconds: float, status: int, *, hit: bool, **route: Any) -> None:
    world = World(**route)
    world.upstream.headers, world.upstream.status = headers, status
    first = await world.ask()
    assert first.status == status
    assert status_of(first).startswith("fwd=uri-miss")
    world.clock.now += seconds
    second = await world.ask()
    assert (world.upstream.calls == 1) is hit, status_of(second)
    assert status_of(second).startswith("hit; ttl=") is hit
    assert second.body == (first.body if hit else b"answer 2")


async def test_expires_counts_from_date() -> None:
    """RFC 9111 section 4.2.1: both are the origin's clock."""
    world = World()
    world.upstream.headers = [(b"date", world.clock.date(3_600)), (b"expires", world.clock.date(3_660))]
    await world.ask()
    world.clock.now += 59
    assert (await world.ask()).header("age") == "59"
    world.clock.now += 1
    await world.ask()
    assert world.upstream.calls == 2


async def test_an_answer_without_a_date_gets_that_of_its_arrival() -> None:
    """RFC 9110 section 6.6.1: its age and its date must agree when it is used later."""
    world = World()
    world.upstream.headers = cached(b"max-age=60")
    arrived = world.clock.date().decode()
    await world.ask()
    world.clock.now += 30
    hit = await world.ask()
    assert (hit.header("date"), hit.header("age")) == (arrived, "30")


async def test_age_counts_the_way_and_the_origins_date() -> None:
    """RFC 9111 section 4.2.3: an old Date, and the time that the upstream took."""
    world = World()

    async def slow(_seen: object, send: object) -> None:
        world.clock.now += 7
        await send({"type": "http.response.start", "status": 200, "headers": cached(b"max-age=60", (b"age", b"3"))})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b"x"})  # type: ignore[operator]

    world.upstream.answering = slow
    await world.ask()
    hit = await world.ask()
    assert (hit.header("age"), status_of(hit)) == ("10", "hit; ttl=50")
    world = World()
    world.upstream.headers = cached(b"max-age=60", (b"date", world.clock.date(-20)))
    await world.ask()
    assert (await world.ask()).header("age") == "20"


@pytest.mark.parametrize(
    ("control", "age", "outcome"),
    [
        (b"no-cache", 0, "fwd=request"),
        (b"max-age=5", 5, "hit; ttl=55"),
        (b"max-age=5", 6, "fwd=request"),
        (b"max-age=x", 1, "fwd=request"),
        (b"min-fresh=30", 30, "hit; ttl=30"),
        (b"min-fresh=30", 31, "fwd=request"),
        (b"max-stale=10", 70, "hit; ttl=-10"),
        (b"max-stale=10", 71, "fwd=stale"),
        (b"max-stale", 10_000, "hit; ttl=-9940"),
        (b"max-stale, max-age=10", 70, "fwd=stale"),
        (b"no-store", 0, "fwd=bypass; detail=no-store"),
        (b'x="', 0, "fwd=bypass; detail=no-store"),
        (b"only-if-cached", 10, "hit; ttl=50"),
    ],
)
async def test_requests_narrow_or_widen_what_they_get(control: bytes, age: float, outcome: str) -> None:
    """RFC 9111 section 5.2.1."""
    world = World()
    world.upstream.headers = cached(b"max-age=60")
    await world.ask()
    world.clock.now += age
    assert status_of(await world.ask("/a", (b"cache-control", control))).startswith(outcome)


@pytest.mark.parametrize("answer", [b"must-revalidate, max-age=60", b"proxy-revalidate, max-age=60", b"s-maxage=60"])
async def test_no_request_gets_a_stale_answer_that_forbids_it(answer: bytes) -> None:
    """RFC 9111 section 4.2.4; nor does the route's own allowance help."""
    world = World(cache={"stale_while_revalidate": 600, "stale_if_error": 600})
    world.upstream.headers = cached(answer)
    await world.ask()
    world.clock.now += 61
    world.upstream.status = 503
    response = await world.ask("/a", (b"cache-control", b"max-stale"))
    assert (response.status, world.upstream.calls) == (503, 2)


@pytest.mark.parametrize(
    ("answer", "vary", "first", "second", "hit"),
    [
        (b"accept", b"Accept", b"text/html", b"text/html", True),
        (b"accept", b"Accept", b"text/html", b"text/csv", False),
        (b"accept", b"Accept-Language", b"text/html", b"text/csv", True),
        (b"cookie", b"Cookie", b"a=1", b"a=2", True),  # the upstream gets none
        (b"authorization", b"Authorization", b"Bearer a", b"Bearer a", True),  # the share is the principal's own
        (b"host", b"Host", b"gateway.test", b"gateway.test", True),
        (b"x-removed", b"X-Removed", b"1", b"2", True),  # by the route
        (b"x-added", b"X-Added", b"1", b"2", False),
    ],
)
async def test_vary_selects_by_what_the_upstream_gets(
    answer: bytes, vary: bytes, first: bytes, second: bytes, *, hit: bool
) -> None:
    """RFC 9111 section 4.1."""
    world = World(request_fields={"remove": ["x-removed"], "add": {"x-added": "0"}})
    world.upstream.headers = cached(b"max-age=60", (b"vary", vary))
    await world.ask("/a", (answer, first))
    await world.ask("/a", (answer, second))
    assert (world.upstream.calls == 1) is hit


@pytest.mark.parametrize("field", [(b"content-encoding", b"gzip"), (b"access-control-allow-origin", b"https://a.test")])
async def test_a_forgotten_vary_is_assumed(field: Header) -> None:
    """An answer in a coding, or for an origin, is for those that asked for it."""
    world = World()
    name = b"accept-encoding" if field[0] == b"content-encoding" else b"origin"
    world.upstream.headers = cached(b"max-age=60", field)
    await world.ask("/a", (name, b"gzip"))
    await world.ask("/a", (name, b"gzip"))
    assert world.upstream.calls == 1
    await world.ask("/a")
    assert world.upstream.calls == 2


async def test_repeated_request_fields_select_as_one() -> None:
    """RFC 9111 section 4.1: lines of one field are one list."""
    world = World()
    world.upstream.headers = cached(b"max-age=60", (b"vary", b"Accept"))
    await world.ask("/a", (b"accept", b"a"), (b"accept", b"b"))
    await world.ask("/a", (b"accept", b"b"))
    assert world.upstream.calls == 2
    await world.ask("/a", (b"accept", b"a, b"))
    assert world.upstream.calls == 2


@pytest.mark.parametrize(
    ("control", "wider", "hit"),
    [
        (b"max-age=60", "tenant", False),  # RFC 9111 section 3.5
        (b"proxy-revalidate, max-age=60", "tenant", False),
        (b"public, max-age=60", "tenant", True),
        (b"s-maxage=60", "tenant", True),
        (b"must-revalidate, max-age=60", "tenant", True),
        (b"must-revalidate, max-age=60", "roles", True),
        (b"max-age=60", "principal", True),
    ],
)
async def test_an_answer_is_shared_when_it_says_so(control: bytes, wider: str, *, hit: bool) -> None:
    """RFC 9111 section 3.5: one principal's answer is others' only with public, s-maxage or must-revalidate."""
    world = World(cache={"shared_by": wider})
    world.upstream.headers = cached(control)
    await world.ask()
    await world.ask(who=principal(1) if wider == "principal" else principal(2))
    assert (world.upstream.calls == 1) is hit


@pytest.mark.parametrize("name", [b"Authorization", b"X-API-Key", b"Tenantry-Identity"])
async def test_an_answer_that_varies_by_who_asks_is_never_shared(name: bytes) -> None:
    world = World(cache={"shared_by": "tenant", "default_seconds": 60})
    world.upstream.headers = cached(b"public, max-age=60", (b"vary", name))
    await world.ask()
    await world.ask()
    assert world.upstream.calls == 2
