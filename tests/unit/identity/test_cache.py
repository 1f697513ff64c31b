"""The memory of recognised credentials, driven step by step."""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from gateway.identity.cache import REFUSAL_TRUST, TRUST, Answer, PrincipalCache
from tenants.credentials import CredentialExpired, CredentialInvalid, CredentialRevoked
from tenants.database.listener import Subscriber
from tenants.errors import Unavailable
from tenants.identifiers import OperatorKeyId, new_id
from tenants.principal import Operator

pytestmark = pytest.mark.anyio
_RACES = int(os.environ.get("TENANTRY_TEST_RACES", "1000"))
_KEY, _TAGS = b"k" * 32, ("api_key aa", "tenant 1")


def _operator() -> Operator:
    return Operator(OperatorKeyId(new_id()), "somebody")


@dataclass
class _Channel:
    """Stands where the listener does; the listener itself is tested on PostgreSQL."""

    confirmed_at: float = field(default_factory=time.monotonic)
    subscribers: list[Subscriber] = field(default_factory=list)

    def subscribe(self, subscriber: Subscriber) -> None:
        self.subscribers.append(subscriber)

    def tell(self, kind: str, changed: str = "") -> None:
        for subscriber in self.subscribers:
            subscriber(kind, changed)


@pytest.fixture
def channel() -> _Channel:
    return _Channel()


def _giving(answer: Answer) -> Callable[[], Awaitable[Answer]]:
    async def load() -> Answer:
        await asyncio.sleep(0)
        return answer

    return load


async def test_what_was_loaded_is_recalled_without_loading(channel: _Channel) -> None:
    """Decision 1: a warm credential asks nobody."""
    cache, subject = PrincipalCache(channel), _operator()
    assert cache.recall(_KEY) is None
    await cache.load(_KEY, _giving(Answer(subject, _TAGS)))
    assert cache.recall(_KEY) is subject


@pytest.mark.parametrize(("kind", "changed"), [("api_key", "aa"), ("tenant", "1"), ("reset", "")])
async def test_a_change_of_anything_it_was_made_from_makes_it_forgotten(
    channel: _Channel, kind: str, changed: str
) -> None:
    """ID4: key, tenant, and whatever may have happened while nobody listened."""
    cache = PrincipalCache(channel)
    await cache.load(_KEY, _giving(Answer(_operator(), _TAGS)))
    channel.tell(kind, changed)
    assert cache.recall(_KEY) is None
    assert len(cache) == 0


async def test_a_change_of_something_else_leaves_it(channel: _Channel) -> None:
    """A tenant's change costs the others nothing."""
    cache = PrincipalCache(channel)
    await cache.load(_KEY, _giving(Answer(_operator(), _TAGS)))
    for kind, changed in (("api_key", "ab"), ("tenant", "2"), ("user", "1"), ("plan", "free"), ("unknown", "1")):
        channel.tell(kind, changed)
    assert cache.recall(_KEY) is not None


async def test_a_refusal_is_forgotten_when_its_key_is_made(channel: _Channel) -> None:
    """ID4: a negative answer never outlives the creation of the key."""
    cache = PrincipalCache(channel)
    await cache.load(_KEY, _giving(Answer(CredentialInvalid, ("api_key aa",))))
    assert cache.recall_refusal(_KEY) is CredentialInvalid
    assert cache.recall(_KEY) is None
    channel.tell("api_key", "aa")
    assert cache.recall_refusal(_KEY) is None


async def test_a_deaf_worker_trusts_what_it_knows_for_five_seconds(channel: _Channel) -> None:
    """ID4: with the notification channel dead at most 5 s; refusals, which may hide a new key, not at all."""
    cache = PrincipalCache(channel)
    await cache.load(_KEY, _giving(Answer(_operator(), _TAGS)))
    await cache.load(b"bad", _giving(Answer(CredentialInvalid, ())))
    for entry in cache._entries.values():
        entry.loaded_at -= 60
    now = time.monotonic()
    channel.confirmed_at = now - TRUST + 1
    assert cache.recall(_KEY) is not None
    channel.confirmed_at = now - TRUST - 0.001
    assert cache.recall(_KEY) is None
    channel.confirmed_at = now - REFUSAL_TRUST - 0.001
    assert cache.recall_refusal(b"bad") is None


async def test_what_was_just_loaded_is_trusted_though_the_channel_is_dead(channel: _Channel) -> None:
    """ID4: the load itself asked the database, at most 5 s ago."""
    channel.confirmed_at = float("-inf")
    cache = PrincipalCache(channel)
    await cache.load(_KEY, _giving(Answer(_operator(), _TAGS)))
    assert cache.recall(_KEY) is not None


async def test_expiry_is_checked_at_every_use(channel: _Channel) -> None:
    """A credential ends at its time though it is remembered."""
    cache = PrincipalCache(channel)
    await cache.load(_KEY, _giving(Answer(_operator(), _TAGS, expires_at=time.time() - 0.001)))
    with pytest.raises(CredentialExpired):
        cache.recall(_KEY)


async def test_all_who_ask_at_once_share_one_load(channel: _Channel) -> None:
    """A cold start does not stampede: one load for each credential."""
    cache, loads = PrincipalCache(channel), 0

    async def load() -> Answer:
        nonlocal loads
        loads += 1
        await asyncio.sleep(0.01)
        return Answer(_operator(), _TAGS)

    answers = await asyncio.gather(*(cache.load(_KEY, load) for _ in range(200)))
    assert loads == 1
    assert len({id(answer) for answer in answers}) == 1


async def test_a_caller_that_leaves_does_not_take_the_load_from_the_others(channel: _Channel) -> None:
    """A dropped client cancels only itself."""
    cache = PrincipalCache(channel)
    first = asyncio.create_task(cache.load(_KEY, _giving(Answer(_operator(), _TAGS))))
    await asyncio.sleep(0)
    second = asyncio.create_task(cache.load(_KEY, _giving(Answer(_operator(), _TAGS))))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).subject == cache.recall(_KEY)


async def test_an_outage_is_told_to_all_and_remembered_for_none(channel: _Channel) -> None:
    """401 only ever means the credential: an outage leaves no refusal behind."""
    cache = PrincipalCache(channel)

    async def fail() -> Answer:
        await asyncio.sleep(0)
        raise Unavailable

    outcomes = await asyncio.gather(*(cache.load(_KEY, fail) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in outcomes)
    assert cache.recall_refusal(_KEY) is None
    await cache.load(_KEY, _giving(Answer(_operator(), _TAGS)))
    assert cache.recall(_KEY) is not None


async def test_a_flood_of_bad_keys_evicts_no_good_one_and_takes_no_more_room(channel: _Channel) -> None:
    """TH4: maps are bounded; refusals are kept apart."""
    cache = PrincipalCache(channel, size=10, refusals=5)
    await cache.load(_KEY, _giving(Answer(_operator(), _TAGS)))
    for number in range(1000):
        await cache.load(b"%032d" % number, _giving(Answer(CredentialInvalid, (f"api_key {number}",))))
    assert cache.recall(_KEY) is not None
    assert len(cache._refusals) == 5
    assert len(cache._tagged) == 5 + len(_TAGS)


async def test_the_least_used_make_room_and_leave_nothing_behind(channel: _Channel) -> None:
    """Bounded: the one that is used between others stays, whatever passes through."""
    cache = PrincipalCache(channel, size=10)
    await cache.load(_KEY, _giving(Answer(_operator(), _TAGS)))
    for number in range(100):
        assert cache.recall(_KEY) is not None
        await cache.load(b"%032d" % number, _giving(Answer(_operator(), (f"api_key {number}", "tenant 2"))))
    assert len(cache) == 10
    assert len(cache._tagged) == 9 + 1 + len(_TAGS)


async def test_a_change_during_the_load_makes_it_load_again(channel: _Channel) -> None:
    """ID4: a fill that raced with a revocation is not kept, and its waiters get the later truth."""
    cache = PrincipalCache(channel)
    truth: list[Operator | type[CredentialRevoked]] = [_operator(), CredentialRevoked]

    async def load() -> Answer:
        answer = Answer(truth.pop(0), _TAGS)
        await asyncio.sleep(0.01)
        return answer

    loading = asyncio.create_task(cache.load(_KEY, load))
    await asyncio.sleep(0.005)
    channel.tell("tenant", "1")
    assert (await loading).subject is CredentialRevoked
    assert cache.recall(_KEY) is None
    assert cache.recall_refusal(_KEY) is CredentialRevoked


async def test_what_changes_at_every_load_is_answered_and_not_kept(channel: _Channel) -> None:
    """A tenant under constant change is served, each time from the database."""
    cache = PrincipalCache(channel)

    async def load() -> Answer:
        await asyncio.sleep(0)
        channel.tell("tenant", "1")
        return Answer(_operator(), _TAGS)

    assert isinstance((await cache.load(_KEY, load)).subject, Operator)
    assert len(cache) == 0
    assert not cache._changes


class _Race:
    """One key that is made and revoked while others ask; the database and the channel take their time."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._channel = _Channel()
        self._cache = PrincipalCache(self._channel)
        self._truth: Operator | type[CredentialInvalid | CredentialRevoked] = CredentialInvalid
        self._told: object = CredentialInvalid  # what every worker has heard of
        self.asked = 0

    async def run(self) -> None:
        await asyncio.gather(self._change(), *(self._ask() for _ in range(6)))

    async def _pause(self) -> None:
        for _ in range(self._random.randrange(6)):
            await asyncio.sleep(0)

    async def _change(self) -> None:
        for truth in (_operator(), CredentialRevoked):
            await self._pause()
            self._truth = truth  # committed
            await self._pause()
            if self._random.random() < 0.3:
                self._channel.tell("reset")
            else:
                self._channel.tell("api_key", "aa")
            self._told = truth

    async def _load(self) -> Answer:
        await self._pause()
        seen = self._truth
        await self._pause()
        return Answer(seen, ("api_key aa",))

    async def _ask(self) -> None:
        for _ in range(8):
            await self._pause()
            told = self._told
            found = self._cache.recall(_KEY) or self._cache.recall_refusal(_KEY)
            found = found or (await self._cache.load(_KEY, self._load)).subject
            self.asked += 1
            # Whoever asks after the news has arrived never gets the state before it.
            order: list[object] = [CredentialInvalid, Operator, CredentialRevoked]
            assert order.index(_kind(found)) >= order.index(_kind(told))


def _kind(found: object) -> object:
    return Operator if isinstance(found, Operator) else found


async def test_no_interleaving_of_loading_and_revoking_brings_a_key_back() -> None:
    """ID4: fuzzed; TENANTRY_TEST_RACES=10000 for the long run."""
    for seed in range(_RACES):
        race = _Race(seed)
        await race.run()
        assert race.asked == 48
