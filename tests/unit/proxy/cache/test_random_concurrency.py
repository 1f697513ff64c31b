"""Many requests at one time, of which clients leave, are cancelled, and get broken answers: nothing is left behind."""

import asyncio
import random
from typing import Any

import pytest
from starlette.types import Send

from gateway.proxy.cache.purges import Pattern
from gateway.proxy.errors import AnswerCutShort, UpstreamError
from tenants.principal import Principal
from tests.asgi import Response
from tests.unit.proxy.cache.worlds import LeavingClient, Seen, World, cached, principal, respond, settle

pytestmark = pytest.mark.anyio

_WHO = [principal(number, tenant) for number in (1, 2) for tenant in (1, 2)]
_CONTROL = (
    b"max-age=5",
    b"max-age=5",
    b"max-age=1, stale-while-revalidate=9",
    b"private",
    b"no-cache",
    b"public, s-maxage=3",
)


class _Chaos:
    """An upstream that does anything, after some turns of the event loop."""

    def __init__(self, chance: random.Random, world: World) -> None:
        self._chance = chance
        self._world = world

    async def __call__(self, seen: Seen, send: Send) -> None:
        chance = self._chance
        await self._wait()
        kind = chance.random()
        if kind < 0.1:
            raise UpstreamError
        if kind < 0.15:
            await respond(send, 503, [], b"down")
            return
        if seen.header(b"if-none-match") and kind < 0.6:
            await respond(send, 304, [(b"etag", b'"1"')])
            return
        fields = cached(chance.choice(_CONTROL), (b"etag", b'"1"'))
        fields += [(b"vary", b"accept")] if chance.random() < 0.3 else []
        assert seen.principal is not None
        body = b"%d %d %b " % (seen.principal.tenant.id.int, seen.principal.id.int, seen.target)
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        for _ in range(chance.choice((0, 0, 1, 3))):
            body += b"x" * chance.choice((10, 3_000))
            await send({"type": "http.response.body", "body": body, "more_body": True})
            body = b""
            await self._wait()
            if kind > 0.95:
                raise AnswerCutShort
        await send({"type": "http.response.body", "body": body})

    async def _wait(self) -> None:
        for _ in range(self._chance.choice((0, 1, 3, 10))):
            await asyncio.sleep(0)


async def _ask(world: World, chance: random.Random) -> None:
    who, path = chance.choice(_WHO), chance.choice(("/a", "/b", "/c"))
    client = LeavingClient()
    options: dict[str, Any] = {"who": who, "client": client, "method": chance.choice(("GET", "GET", "GET", "HEAD"))}
    accept = (b"accept", chance.choice((b"1", b"2")))
    asking = asyncio.ensure_future(world.ask(path, accept, **options))
    for _ in range(chance.choice((0, 2, 5, 50))):
        await asyncio.sleep(0)
    if chance.random() < 0.15:
        asking.cancel()
    elif chance.random() < 0.2:
        client.leave()
    (result,) = await asyncio.gather(asking, return_exceptions=True)
    if isinstance(result, Response):
        _check(result, who, path)
    else:
        assert isinstance(result, UpstreamError | asyncio.CancelledError), result


def _check(response: Response, who: Principal, path: str) -> None:
    if response.status == 200 and response.body:
        assert response.body.startswith(b"%d %d %b" % (who.tenant.id.int, who.id.int, path.encode()))


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_is_left_behind(seed: int) -> None:
    """PX9, LD1: no request waits for ever, no byte is counted that is not held, and no answer is another caller's."""
    chance = random.Random(seed)  # noqa: S311
    world = World(limit=200_000, cache={"largest_bytes": 5_000, "stale_if_error": 5})
    world.upstream.answering = _Chaos(chance, world)
    async with asyncio.timeout(20):
        for _ in range(60):
            await asyncio.gather(*(_ask(world, chance) for _ in range(20)))
            world.clock.now += chance.choice((0, 1, 4))
            if chance.random() < 0.1:
                world.cache.purge(Pattern(path=chance.choice(("/a", "/b"))))
            if chance.random() < 0.1:
                world.cache.invalidate(str(chance.choice(_WHO).tenant.id), "/a")
    await settle()
    await world.cache.close()
    assert (len(world.cache.fills), world.cache.fills.bytes) == (0, 0)
    shares = world.cache._shares.values()
    occupied = sum(resource.size for share in shares for resource in share.resources.values())
    assert world.cache.bytes == sum(share.bytes for share in shares) == occupied
    counted = sum(len(keys) for share in shares for keys in share.paths.values())
    assert counted == len(world.cache) == sum(len(share.resources) for share in shares)
    assert world.cache.stats.outcomes["hit"] > 20
    assert world.cache.stats.outcomes["collapsed"] > 20
    world.cache.purge(Pattern())
    assert (world.cache.bytes, len(world.cache)) == (0, 0)
