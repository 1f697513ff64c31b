"""Loading credentials: once for all callers, in batches, fairly, and with timeouts."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import count

import pytest

from gateway.identity import credential_loader
from gateway.identity.credential_loader import Load, Outcome
from gateway.identity.lookup import Lookup, LookupResult
from tenants.credentials import CredentialRevoked
from tenants.errors import Unavailable
from tenants.principal import Operator
from tests.unit.identity.loader_harness import TENANT, LoaderHarness, SlowDatabase, operator, settle

pytestmark = pytest.mark.anyio


def _answering(answer: Callable[[], Awaitable[Outcome]]) -> Load:
    async def load(lookups: Sequence[Lookup]) -> list[Outcome]:
        return [await answer() for _ in lookups]

    return load


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timeouts of tenths of seconds."""
    monkeypatch.setattr(credential_loader, "_REQUEST_TIMEOUT", 0.4)
    monkeypatch.setattr(credential_loader, "_QUERY_TIMEOUT", 0.2)


async def test_all_callers_of_one_credential_share_one_load() -> None:
    """A cold start does not stampede: one load for each credential, the rest wait."""
    database = SlowDatabase()
    harness = LoaderHarness(database.load)
    loads = [harness.start("a") for _ in range(200)]
    await settle()
    database.open.set()
    assert len({id(answer) for answer in await asyncio.gather(*loads)}) == 1
    assert database.queries == [["a"]]
    assert harness.is_cached("a")


async def test_ten_thousand_credentials_take_few_queries_two_at_a_time() -> None:
    """Mass invalidation: the load on the database is bounded."""
    database = SlowDatabase()
    database.open.set()
    harness = LoaderHarness(database.load)
    for begin in range(0, 10_000, 500):
        answers = await asyncio.gather(*harness.start_many([str(begin + number) for number in range(500)]))
        assert [answer.own[0] for answer in answers] == [f"api_key {begin + number}" for number in range(500)]
    assert database.max_pending <= 2
    assert max(map(len, database.queries)) <= credential_loader._BATCH
    assert len(database.queries) < 10_000 / credential_loader._BATCH * 2
    assert len(harness.cache) == 10_000


async def test_a_long_queue_delays_only_its_own_source() -> None:
    """IS10: one tenant's flood of cold credentials does not starve another's single one."""
    database = SlowDatabase()
    harness = LoaderHarness(database.load)
    flood = harness.start_many([f"flood {number}" for number in range(900)], "flooding tenant")
    await settle()
    other = harness.start("other", "another tenant")
    await settle()
    database.open.set()
    await asyncio.gather(other, *flood)
    at = next(number for number, names in enumerate(database.queries) if "other" in names)
    assert at <= 2, "the two that were under way, and then its own"
    assert len(database.queries) > 10


async def test_a_full_queue_refuses_at_once_and_only_its_own_source() -> None:
    """What could not be loaded in time anyway does not wait."""
    database = SlowDatabase()
    harness = LoaderHarness(database.load)
    flood = harness.start_many([str(number) for number in range(credential_loader._MAX_QUEUE + 200)], "flood")
    other = harness.start("other", "another")
    await settle()
    refused = [each for each in flood if each.done()]
    assert 0 < len(refused) <= 200
    assert all(isinstance(each.exception(), Unavailable) for each in refused)
    database.open.set()
    assert (await other).own == ("api_key other",)
    await asyncio.gather(*flood, return_exceptions=True)


@pytest.mark.usefixtures("short_timeouts")
async def test_a_hanging_database_delays_no_caller_beyond_the_timeout() -> None:
    """OP3: Unavailable within the timeout for all; then no task, caller and query is left."""
    database = SlowDatabase()
    harness = LoaderHarness(database.load)
    began, tasks = time.monotonic(), len(asyncio.all_tasks())
    outcomes = await asyncio.gather(*harness.start_many([str(number) for number in range(500)]), return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in outcomes)
    assert time.monotonic() - began < 2
    await asyncio.sleep(0.3)  # the last query ends at its own timeout
    assert len(harness.loader) == database.pending == 0
    assert len(asyncio.all_tasks()) == tasks
    assert sum(map(len, database.queries)) < 500, "what principals waited for any more was loads"


@pytest.mark.usefixtures("short_timeouts")
async def test_after_an_outage_the_next_load_succeeds() -> None:
    """OP3: no state of the failed loads is left."""
    database = SlowDatabase()
    harness = LoaderHarness(database.load)
    await asyncio.gather(*harness.start_many(["a", "b", "c"]), return_exceptions=True)
    database.open.set()
    assert (await harness.load("a")).own == ("api_key a",)


async def test_a_disconnected_caller_does_not_cancel_the_load_of_others() -> None:
    """A disconnected client cancels only itself."""
    database = SlowDatabase()
    harness = LoaderHarness(database.load)
    first, second = harness.start("a"), harness.start("a")
    await settle()
    first.cancel()
    await settle()
    database.open.set()
    assert (await second).own == ("api_key a",)
    assert database.queries == [["a"]]


async def test_a_load_without_callers_is_not_queried() -> None:
    """Clients that disconnect leave no work behind."""
    database = SlowDatabase()
    harness = LoaderHarness(database.load)
    busy = []
    for name in ("a", "b"):  # sequentially: each with a query of its own
        busy.append(harness.start(name))
        await settle()
    left = harness.start_many([str(number) for number in range(100)])
    await settle()
    for task in left:
        task.cancel()
    await settle()
    database.open.set()
    await asyncio.gather(*busy)
    await settle()
    assert not any("1" in question for question in database.queries)
    assert len(harness.loader) == 0


async def test_an_outage_fails_all_callers_and_is_not_cached() -> None:
    """A 401 only ever means the credential: an outage is not cached as a refusal."""

    async def fail() -> Outcome:
        await asyncio.sleep(0)
        raise Unavailable(detail="down")

    harness = LoaderHarness(_answering(fail))
    outcomes = await asyncio.gather(*(harness.start("a") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in outcomes)
    assert len({id(each) for each in outcomes}) == 3, "one exception raised in many places shows the traces of all"
    assert harness.cache.get_refusal(b"a") is None


async def test_an_unreadable_row_fails_only_its_own_credential() -> None:
    """IS10: credentials of one query do not share errors."""

    async def load(lookups: Sequence[Lookup]) -> list[Outcome]:
        await asyncio.sleep(0)
        return [
            ValueError("a broken row") if number == 1 else LookupResult(operator()) for number, _ in enumerate(lookups)
        ]

    harness = LoaderHarness(load)
    good, broken, other = await asyncio.gather(*harness.start_many(["a", "b", "c"]), return_exceptions=True)
    assert isinstance(good, LookupResult)
    assert isinstance(other, LookupResult)
    assert isinstance(broken, ValueError)


async def test_a_change_during_the_load_repeats_it() -> None:
    """ID4: a result that raced with a revocation is not kept, and its callers get the later one."""
    results: Iterator[LookupResult] = iter(
        [LookupResult(operator(), tenant=TENANT), LookupResult(CredentialRevoked, tenant=TENANT)]
    )
    going_on = asyncio.Event()

    async def load() -> Outcome:
        answer = next(results)
        await going_on.wait()
        return answer

    harness = LoaderHarness(_answering(load))
    loads = harness.start("a")
    await settle()
    harness.channel.tell(*TENANT.split(" "))
    going_on.set()
    assert (await loads).subject is CredentialRevoked
    assert not harness.is_cached("a")
    assert harness.cache.get_refusal(b"a") is CredentialRevoked


async def test_a_credential_that_changes_at_every_load_is_returned_and_not_cached() -> None:
    """A tenant under constant change is served from the database."""

    async def load() -> Outcome:
        await asyncio.sleep(0)
        harness.channel.tell(*TENANT.split(" "))
        return LookupResult(operator(), tenant=TENANT)

    harness = LoaderHarness(_answering(load))
    assert isinstance((await harness.load("a")).subject, Operator)
    assert len(harness.cache) == 0


async def test_a_caller_after_a_change_never_gets_a_result_from_before_it() -> None:
    """ID4: also when the load was outdated so often that its result is returned uncached."""
    states, notified = count(), 0

    async def load() -> Outcome:
        state = next(states)
        await asyncio.sleep(0)
        tell()
        late.append(asyncio.create_task(ask()))
        await asyncio.sleep(0)
        return LookupResult(operator(str(state)), tenant=TENANT)

    def tell() -> None:
        nonlocal notified
        if notified < 8:
            notified += 1
            harness.channel.tell(*TENANT.split(" "))

    async def ask() -> None:
        known = notified
        subject = (await harness.load("a")).subject
        assert isinstance(subject, Operator)
        assert int(subject.name) >= known

    late: list[asyncio.Task[None]] = []
    harness = LoaderHarness(_answering(load))
    await ask()
    for task in late:  # grows while they run
        await task
    assert notified == 8
