"""Thousands of random requests against an oracle that knows what may be served, and not how it is stored."""

import random
from dataclasses import dataclass, field

import pytest
from starlette.types import Send

from gateway.proxy.errors import UpstreamError
from tenants.principal import Principal
from tests.asgi import Header, Response
from tests.unit.proxy.cache.worlds import Seen, World, principal, respond, settle

pytestmark = pytest.mark.anyio

_STEPS = 2_000
_WHO = [principal(number, tenant, roles) for number in (1, 2) for tenant in (1, 2) for roles in (("a",), ("b",))][1:7]
_FRESHNESS = (
    ("max-age=20", 20), ("max-age=0", 0), ("s-maxage=15, max-age=90", 15), ("public, max-age=20", 20),
    ("must-revalidate, max-age=10", 10), ("no-cache, max-age=50", 0), ("public", 0), ("max-age=5", 5),
)  # fmt: skip
_FORBIDDEN = ("no-store, max-age=20", "private, max-age=20", "max-age=20, no-store")
_ALLOWANCES = ("", ", stale-while-revalidate=10", ", stale-if-error=10")
_VARY = (None, None, "Accept", "accept, x-lang", "*", "Authorization")
_ASKS = (None, None, None, None, "no-cache", "max-age=5", "max-stale=7", "max-stale", "min-fresh=6", "no-store")


@dataclass
class Made:
    """An answer of the upstream, as the oracle knows it."""

    who: Principal
    target: tuple[str, bytes]
    control: str
    fresh: int
    vary: str | None
    cookie: bool
    sent: dict[bytes, bytes]  # of the request
    shared_by: str
    at: float  # generated or validated
    ended: bool = False  # purged, or invalidated


@dataclass
class Oracle:
    """Judges every answer. Answers are found by their bodies, which are unique."""

    world: World
    chance: random.Random
    shared_by: str
    made: dict[bytes, Made] = field(default_factory=dict)
    hits: int = 0
    stale: int = 0

    async def answer(self, seen: Seen, send: Send) -> None:
        """The upstream: validates what is good, fails at times, and answers anew otherwise."""
        kind, now = self.chance.random(), self.world.clock.now
        if kind < 0.08:
            raise UpstreamError
        tag = (seen.header(b"if-none-match") or b"").strip(b'"')
        if tag in self.made and kind < 0.6 and not self.made[tag].ended:
            self.made[tag].at = now
            await respond(send, 304, [(b"etag", b'"%b"' % tag)])
            return
        if kind > 0.95:
            await respond(send, 503, [], b"down")
            return
        await self._anew(seen, send, now)

    async def _anew(self, seen: Seen, send: Send, now: float) -> None:
        chance = self.chance
        control, fresh = chance.choice(_FRESHNESS)
        if chance.random() < 0.15:
            control, fresh = chance.choice(_FORBIDDEN), 0
        control += chance.choice(_ALLOWANCES)
        vary, cookie = chance.choice(_VARY), chance.random() < 0.05
        body = b"answer-%d" % (len(self.made) + 1)
        fields: list[Header] = [(b"cache-control", control.encode())]
        fields += [(b"etag", b'"%b"' % body)] if chance.random() < 0.7 else []
        fields += [(b"vary", vary.encode())] if vary else []
        fields += [(b"set-cookie", b"a=b")] if cookie else []
        assert seen.principal is not None
        path, _, query = seen.target.partition(b"?")
        target = path.decode(), query
        self.made[body] = Made(
            seen.principal, target, control, fresh, vary, cookie, dict(seen.headers), self.shared_by, now
        )
        await respond(send, 200, fields, body)

    def judge(self, response: Response, who: Principal, target: tuple[str, bytes], sent: dict[bytes, bytes]) -> None:
        """Fails for an answer that this request must not get."""
        made = self.made.get(response.body)
        status = response.header("cache-status") or ""
        if made is None or not ("hit" in status or "collapsed" in status or "fwd=stale; fwd-status=5" in status):
            return
        self.hits += 1
        assert made.target == target
        assert not made.ended, made
        assert not made.cookie, made
        assert not any(word in made.control for word in ("no-store", "private", "no-cache")), made
        self._judge_caller(made, who)
        assert made.vary != "*"
        for name in (made.vary or "").lower().split(", "):
            if name not in {"", "authorization"}:
                assert made.sent.get(name.encode()) == sent.get(name.encode()), made
        self._judge_age(made, response, sent.get(b"cache-control", b"").decode())

    def _judge_caller(self, made: Made, who: Principal) -> None:
        assert made.who.tenant.id == who.tenant.id
        if made.shared_by == "principal":
            assert (made.who.id, made.who.roles) == (who.id, who.roles)
            return
        assert any(word in made.control for word in ("public", "s-maxage", "must-revalidate")), made
        assert made.vary != "Authorization"
        assert made.shared_by == "tenant" or made.who.roles == who.roles

    def _judge_age(self, made: Made, response: Response, asked: str) -> None:
        age = self.world.clock.now - made.at
        assert response.header("age") == str(int(age)), (made, self.world.clock.now)
        assert "no-cache" not in asked
        assert "no-store" not in asked
        if asked == "max-age=5" and "fwd=" not in (response.header("cache-status") or ""):
            assert age <= 5
        allowed = made.fresh
        if asked == "min-fresh=6":
            allowed -= 6
        if age < allowed or (asked == "min-fresh=6" and age <= allowed):
            return
        self.stale += 1
        assert "must-revalidate" not in made.control, made
        status = response.header("cache-status") or ""
        if "fwd=stale" in status:
            assert "stale-if-error" in made.control
            assert age < made.fresh + 10
            return
        staleness, limits = age - made.fresh, {"max-stale": 10**9, "max-stale=7": 7}
        on_request = "s-maxage" not in made.control and staleness <= limits.get(asked, -1)
        assert on_request or ("stale-while-revalidate" in made.control and staleness < 10), (made, asked)

    def end(self, path: str | None, tenant: object = None) -> None:
        """What is purged, or changed by an unsafe method."""
        for each in self.made.values():
            if path in {None, each.target[0]} and tenant in {None, each.who.tenant.id}:
                each.ended = True


@pytest.mark.parametrize(("seed", "shared_by"), [(1, "principal"), (2, "roles"), (3, "tenant")])
async def test_no_request_gets_what_it_must_not(shared_by: str, seed: int) -> None:
    """Isolation, freshness, selection and invalidation together; and the cache is of use all the same."""
    world, chance = World(limit=2_000_000, cache={"shared_by": shared_by}), random.Random(seed)  # noqa: S311
    oracle = Oracle(world, chance, shared_by)
    world.upstream.answering = oracle.answer
    for _ in range(_STEPS):
        world.clock.now += chance.choice((0, 0, 0, 0, 0, 0, 0, 1, 2, 7))
        await _step(world, oracle, chance)
        await settle_if_needed(world)
    assert oracle.hits > _STEPS * 0.06
    assert oracle.stale > 5
    await world.cache.close()


async def settle_if_needed(world: World) -> None:
    """Let validations in the background end, before time goes on."""
    while len(world.cache.fills):
        await settle()


async def _step(world: World, oracle: Oracle, chance: random.Random) -> None:
    who, path, query = chance.choice(_WHO), chance.choice(("/a", "/b")), chance.choice((b"", b"x=1"))
    kind = chance.random()
    if kind < 0.01:
        world.channel.notify("cache", f'{{"path":"{path}"}}')
        oracle.end(path)
        return
    if kind < 0.03:
        world.upstream.answering = None
        response = await world.ask(path, method="POST", who=who)
        world.upstream.answering = oracle.answer
        assert response.status == 200
        oracle.end(path, who.tenant.id)
        return
    headers = [(b"accept", chance.choice((b"a", b"b"))), (b"x-lang", chance.choice((b"a", b"b")))]
    asked = chance.choice(_ASKS)
    if asked is not None:
        headers.append((b"cache-control", asked.encode()))
    try:
        response = await world.ask(path, *headers, who=who, query=query)
    except UpstreamError:
        return
    oracle.judge(response, who, (path, query), dict(headers))
