"""Validation of stale answers by the upstream, and of clients' copies by the cache (RFC 9111 section 4.3)."""

import asyncio

import pytest
from starlette.types import Send

from tests.asgi import Header, Response
from tests.unit.proxy.cache.worlds import Seen, World, cached, respond, settle, status_of

pytestmark = pytest.mark.anyio

_ETAG: Header = (b"etag", b'"1"')
_MODIFIED: Header = (b"last-modified", b"Tue, 14 Nov 2023 00:00:00 GMT")


def _validating(world: World, *fresh: Header, etag: Header = _ETAG) -> None:
    """The upstream answers 304 to its own tag, and another body each time otherwise."""

    async def answer(seen: Seen, send: Send) -> None:
        if etag[1] in (seen.header(b"if-none-match") or b""):
            await respond(send, 304, fresh)
        else:
            await respond(send, 200, cached(b"max-age=60", etag, _MODIFIED), b"answer %d" % world.upstream.calls)

    world.upstream.answering = answer


async def test_a_stale_answer_is_validated_and_good_for_longer() -> None:
    """RFC 9111 sections 4.3.1 and 4.3.4: the 304's fields take the place of the stored ones."""
    world = World()
    _validating(world, _ETAG, (b"cache-control", b"max-age=100"), (b"x-new", b"1"), (b"content-length", b"0"))
    await world.ask()
    world.clock.now += 60
    validated = await world.ask()
    seen = world.upstream.seen[1]
    assert (seen.header(b"if-none-match"), seen.header(b"if-modified-since")) == (_ETAG[1], _MODIFIED[1])
    assert (validated.status, validated.body) == (200, b"answer 1")
    assert (validated.header("x-new"), validated.header("content-length")) == ("1", "8")
    assert status_of(validated) == "fwd=stale; fwd-status=304; stored"
    world.clock.now += 99
    assert status_of(await world.ask()) == "hit; ttl=1"
    assert world.cache.stats.outcomes["validated"] == 1


async def test_another_answer_takes_the_place_of_a_stale_one() -> None:
    """RFC 9111 section 4.3.3."""
    world = World()
    world.upstream.headers = cached(b"max-age=60", _ETAG)
    await world.ask()
    world.clock.now += 60
    assert (await world.ask()).body == b"answer 2"
    assert (await world.ask()).body == b"answer 2"
    world.clock.now += 60
    world.upstream.headers = cached(b"private", _ETAG)
    assert (await world.ask()).body == b"answer 3"
    world.upstream.status = 503
    assert (await world.ask("/a", (b"cache-control", b"max-stale"))).status == 503


@pytest.mark.parametrize(
    ("fresh", "leads_to"),
    [
        ([_ETAG, (b"cache-control", b"private")], 3),
        ([_ETAG, (b"cache-control", b"no-store")], 3),
        ([_ETAG, (b"cache-control", b"max-age=60"), (b"set-cookie", b"a=b")], 3),
        ([_ETAG, (b"vary", b"*")], 3),
        ([_ETAG, (b"cache-control", b"max-age=60")], 2),
    ],
)
async def test_a_304_may_end_the_storing(fresh: list[Header], leads_to: int) -> None:
    """The client gets the answer with these fields, and no later one does."""
    world = World()
    _validating(world, *fresh)
    await world.ask()
    world.clock.now += 60
    validated = await world.ask()
    assert (validated.status, validated.body) == (200, b"answer 1")
    assert (validated.header("set-cookie") is not None) is (b"set-cookie" in dict(fresh))
    await world.ask()
    assert world.upstream.calls == leads_to


async def test_a_304_of_another_answer_is_not_used() -> None:
    """RFC 9111 section 4.3.4: it is asked for again, without a condition."""
    world = World()
    _validating(world, (b"etag", b'"2"'))
    await world.ask()
    world.clock.now += 60
    response = await world.ask()
    assert (response.status, response.body) == (200, b"answer 3")
    assert world.upstream.seen[2].header(b"if-none-match") is None


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ((b"if-none-match", b'"1"'), 304),
        ((b"if-none-match", b'W/"1"'), 304),
        ((b"if-none-match", b'"0", "1"'), 304),
        ((b"if-none-match", b"*"), 304),
        ((b"if-none-match", b'"2"'), 200),
        ((b"if-none-match", b"1"), 200),
        ((b"if-modified-since", _MODIFIED[1]), 304),
        ((b"if-modified-since", b"Mon, 13 Nov 2023 00:00:00 GMT"), 200),
        ((b"if-modified-since", b"yesterday"), 200),
    ],
)
async def test_clients_copies_are_judged_by_the_cache(condition: Header, status: int) -> None:
    """RFC 9110 section 13.2.2: also when the answer has to be brought first, whole, for others."""
    world = World()
    world.upstream.headers = cached(b"max-age=60", _ETAG, _MODIFIED)
    for _ in range(2):
        response = await world.ask("/a", condition)
        assert (response.status, response.body) == (status, b"" if status == 304 else b"answer 1")
        assert (response.header("content-length") is None) is (status == 304)
        assert response.header("etag") == '"1"'
    assert world.upstream.calls == 1
    assert world.upstream.seen[0].header(condition[0]) is None


async def test_if_none_match_has_precedence() -> None:
    world = World()
    world.upstream.headers = cached(b"max-age=60", _ETAG, _MODIFIED)
    await world.ask()
    conditions: tuple[Header, ...] = ((b"if-none-match", b'"2"'), (b"if-modified-since", _MODIFIED[1]))
    assert (await world.ask("/a", *conditions)).status == 200


async def test_conditions_reach_the_upstream_where_nothing_is_stored() -> None:
    """Its 304 passes, and does not keep a later answer from being stored."""
    world = World()
    world.upstream.headers = cached(b"private", _ETAG)
    await world.ask()
    _validating(world)
    assert (await world.ask("/a", (b"if-none-match", b'"1"'))).status == 304
    world.upstream.answering, world.upstream.headers = None, cached(b"max-age=60")
    await world.ask()
    assert status_of(await world.ask()).startswith("hit")


async def test_head_is_answered_from_what_get_has_stored() -> None:
    """RFC 9110 section 9.3.2; without it, HEAD goes to the upstream and stores nothing."""
    world = World()
    world.upstream.headers = cached(b"max-age=60")
    assert status_of(await world.ask(method="HEAD")) == "fwd=uri-miss"
    assert [each.method for each in world.upstream.seen] == ["HEAD"]
    assert len(world.cache) == 0
    await world.ask()
    hit = await world.ask(method="HEAD")
    assert (status_of(hit), hit.header("content-length")) == ("hit; ttl=60", "8")
    assert world.upstream.calls == 2


async def test_no_cache_answers_are_validated_each_time() -> None:
    """RFC 9111 section 5.2.2.4."""
    world = World()

    async def answer(seen: Seen, send: Send) -> None:
        fields = cached(b"no-cache", _ETAG)
        await respond(
            send, 304 if seen.header(b"if-none-match") else 200, fields, b"" if len(seen.headers) > 1 else b"x"
        )

    world.upstream.answering = answer
    assert [(await world.ask()).body for _ in range(3)] == [b"x", b"x", b"x"]
    assert world.upstream.calls == 3


async def test_only_if_cached_reaches_no_upstream() -> None:
    """RFC 9111 section 5.2.1.7."""
    world = World()
    with pytest.raises(Exception, match="only-if-cached"):
        await world.ask("/a", (b"cache-control", b"only-if-cached"))
    assert (world.upstream.calls, world.cache.stats.outcomes["refused"]) == (0, 1)


@pytest.mark.parametrize(("age", "calls"), [(61, 2), (69.9, 2), (70, 1)])
async def test_a_stale_answer_is_served_while_it_is_validated(age: float, calls: int) -> None:
    """RFC 5861 section 3: one request in the background, and the next answer is fresh."""
    world = World()
    _validating(world, _ETAG, (b"cache-control", b"max-age=60, stale-while-revalidate=10"))
    world.upstream.answering, validating = None, world.upstream.answering
    world.upstream.headers, world.upstream.body = cached(b"max-age=60, stale-while-revalidate=10", _ETAG), b"x"
    await world.ask()
    world.upstream.answering = validating
    world.clock.now += age
    responses = [await world.ask() for _ in range(3)]
    statuses = [status_of(each) for each in responses]
    assert statuses[0] == ("fwd=stale; fwd-status=304; stored" if calls == 1 else f"hit; ttl={int(60 - age)}")
    await settle()
    assert (await world.ask()).header("age") == "0"
    assert world.upstream.calls == 2
    await world.cache.close()


async def test_validations_in_the_background_end_with_the_worker() -> None:
    """A stopped worker leaves no task, and begins none."""
    world = World(cache={"stale_while_revalidate": 600})
    world.upstream.headers = cached(b"max-age=60")
    await world.ask()
    world.clock.now += 61

    async def never(_seen: Seen, _send: Send) -> None:
        await _forever()

    world.upstream.answering = never
    await world.ask()
    await settle()
    assert len(world.cache.fills) == 1
    await world.cache.close()
    assert len(world.cache.fills) == 0
    await world.ask()
    assert world.upstream.calls == 2


async def test_validations_in_the_background_are_bounded() -> None:
    """32 at a time; further stale answers are served all the same."""
    world = World(cache={"stale_while_revalidate": 600})
    world.upstream.headers = cached(b"max-age=60")
    for number in range(40):
        await world.ask(f"/{number}")
    world.clock.now += 61

    async def never(_seen: Seen, _send: Send) -> None:
        await _forever()

    world.upstream.answering = never
    responses = [await world.ask(f"/{number}") for number in range(40)]
    assert {each.body for each in responses} == {b"answer %d" % number for number in range(1, 41)}
    await settle()
    assert world.upstream.calls == 40 + 32
    await world.cache.close()


async def _failing(world: World, age: float, status: int, *headers: Header) -> Response:
    world.upstream.headers = cached(b"max-age=60, stale-if-error=30")
    await world.ask()
    world.clock.now += age
    world.upstream.status, world.upstream.headers = status, []
    return await world.ask("/a", *headers)


@pytest.mark.parametrize(
    ("age", "status", "served"),
    [(61, 500, 200), (61, 502, 200), (89.9, 503, 200), (90, 503, 503), (61, 504, 200), (61, 501, 501), (61, 404, 404)],
)
async def test_a_stale_answer_is_served_in_the_place_of_an_error(age: float, status: int, served: int) -> None:
    """RFC 5861 section 4."""
    response = await _failing(World(), age, status)
    assert response.status == served
    if served == 200:
        assert (response.body, status_of(response)) == (b"answer 1", f"fwd=stale; fwd-status={status}")
        assert response.header("age") == str(int(age))


async def test_a_request_for_a_validated_answer_gets_the_error() -> None:
    assert (await _failing(World(), 10, 503, (b"cache-control", b"no-cache"))).status == 503


async def _forever() -> None:
    await asyncio.Event().wait()
