"""Loading credentials: once for all who wait, together, fairly, and never for longer than somebody waits."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import count

import pytest

from gateway.identity import loads as module
from gateway.identity.answer import Answer
from gateway.identity.loads import Load, Outcome
from gateway.identity.wanted import Wanted
from tenants.credentials import CredentialRevoked
from tenants.errors import Unavailable
from tenants.principal import Operator
from tests.unit.identity.desk import TENANT, Desk, SlowDatabase, operator, settle

pytestmark = pytest.mark.anyio


def _answering(answer: Callable[[], Awaitable[Outcome]]) -> Load:
    async def load(wanted: Sequence[Wanted]) -> list[Outcome]:
        return [await answer() for _ in wanted]

    return load


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines of tenths of seconds."""
    monkeypatch.setattr(module, "_PATIENCE", 0.4)
    monkeypatch.setattr(module, "_ANSWERED_WITHIN", 0.2)


async def test_all_who_ask_for_one_credential_share_one_load() -> None:
    """A cold start does not stampede: one load for each credential, the rest wait."""
    database = SlowDatabase()
    desk = Desk(database.load)
    asked = [desk.ask("a") for _ in range(200)]
    await settle()
    database.open.set()
    assert len({id(answer) for answer in await asyncio.gather(*asked)}) == 1
    assert database.questions == [["a"]]
    assert desk.knows("a")


async def test_ten_thousand_credentials_go_with_few_questions_and_two_at_a_time() -> None:
    """Mass invalidation: bounded at the database, whatever comes at once."""
    database = SlowDatabase()
    database.open.set()
    desk = Desk(database.load)
    for begin in range(0, 10_000, 500):
        answers = await asyncio.gather(*desk.ask_many([str(begin + number) for number in range(500)]))
        assert [answer.own[0] for answer in answers] == [f"api_key {begin + number}" for number in range(500)]
    assert database.most_under_way <= 2
    assert max(map(len, database.questions)) <= module._TOGETHER
    assert len(database.questions) < 10_000 / module._TOGETHER * 2
    assert len(desk.cache) == 10_000


async def test_a_long_lane_delays_itself_and_no_other() -> None:
    """IS10: one tenant's flood of cold credentials does not starve another's single one."""
    database = SlowDatabase()
    desk = Desk(database.load)
    flood = desk.ask_many([f"flood {number}" for number in range(900)], "flooding tenant")
    await settle()
    other = desk.ask("other", "another tenant")
    await settle()
    database.open.set()
    await asyncio.gather(other, *flood)
    at = next(number for number, names in enumerate(database.questions) if "other" in names)
    assert at <= 2, "the two that were under way, and then its own"
    assert len(database.questions) > 10


async def test_a_lane_that_is_too_long_is_told_so_at_once_and_others_are_not() -> None:
    """No pile-up: what could not be answered in time anyway is not waited for."""
    database = SlowDatabase()
    desk = Desk(database.load)
    flood = desk.ask_many([str(number) for number in range(module._LONGEST_LANE + 200)], "flood")
    other = desk.ask("other", "another")
    await settle()
    refused = [each for each in flood if each.done()]
    assert 0 < len(refused) <= 200
    assert all(isinstance(each.exception(), Unavailable) for each in refused)
    database.open.set()
    assert (await other).own == ("api_key other",)
    await asyncio.gather(*flood, return_exceptions=True)


@pytest.mark.usefixtures("impatient")
async def test_a_database_that_hangs_keeps_nobody_and_leaves_nothing_behind() -> None:
    """OP3: Unavailable within the deadline for all, and then no task, no waiter and no question is left."""
    database = SlowDatabase()
    desk = Desk(database.load)
    began, tasks = time.monotonic(), len(asyncio.all_tasks())
    outcomes = await asyncio.gather(*desk.ask_many([str(number) for number in range(500)]), return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in outcomes)
    assert time.monotonic() - began < 2
    await asyncio.sleep(0.3)  # the last question ends at its own deadline
    assert len(desk.loads) == database.under_way == 0
    assert len(asyncio.all_tasks()) == tasks
    assert sum(map(len, database.questions)) < 500, "what nobody waited for any more was asked"


@pytest.mark.usefixtures("impatient")
async def test_after_an_outage_the_next_to_come_is_answered() -> None:
    """OP3: nothing that failed stands in its way."""
    database = SlowDatabase()
    desk = Desk(database.load)
    await asyncio.gather(*desk.ask_many(["a", "b", "c"]), return_exceptions=True)
    database.open.set()
    assert (await desk.answer("a")).own == ("api_key a",)


async def test_a_caller_that_leaves_does_not_take_the_load_from_the_others() -> None:
    """A dropped client cancels only itself."""
    database = SlowDatabase()
    desk = Desk(database.load)
    first, second = desk.ask("a"), desk.ask("a")
    await settle()
    first.cancel()
    await settle()
    database.open.set()
    assert (await second).own == ("api_key a",)
    assert database.questions == [["a"]]


async def test_what_nobody_waits_for_any_more_is_not_asked() -> None:
    """Clients that leave a queue leave no work behind."""
    database = SlowDatabase()
    desk = Desk(database.load)
    busy = []
    for name in ("a", "b"):  # one after the other: each with a question of its own
        busy.append(desk.ask(name))
        await settle()
    left = desk.ask_many([str(number) for number in range(100)])
    await settle()
    for task in left:
        task.cancel()
    await settle()
    database.open.set()
    await asyncio.gather(*busy)
    await settle()
    assert not any("1" in question for question in database.questions)
    assert len(desk.loads) == 0


async def test_an_outage_is_told_to_all_and_remembered_for_none() -> None:
    """401 only ever means the credential: an outage leaves no refusal behind."""

    async def fail() -> Outcome:
        await asyncio.sleep(0)
        raise Unavailable(detail="down")

    desk = Desk(_answering(fail))
    outcomes = await asyncio.gather(*(desk.ask("a") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in outcomes)
    assert len({id(each) for each in outcomes}) == 3, "one exception raised in many places shows the traces of all"
    assert desk.cache.recall_refusal(b"a") is None


async def test_a_row_that_makes_no_subject_fails_its_own_credential_alone() -> None:
    """IS10: what shares a question shares no fault."""

    async def load(wanted: Sequence[Wanted]) -> list[Outcome]:
        await asyncio.sleep(0)
        return [ValueError("a broken row") if number == 1 else Answer(operator()) for number, _ in enumerate(wanted)]

    desk = Desk(load)
    good, broken, other = await asyncio.gather(*desk.ask_many(["a", "b", "c"]), return_exceptions=True)
    assert isinstance(good, Answer)
    assert isinstance(other, Answer)
    assert isinstance(broken, ValueError)


async def test_a_change_during_the_load_makes_it_load_again() -> None:
    """ID4: a fill that raced with a revocation is not kept, and its waiters get the later truth."""
    truth: Iterator[Answer] = iter([Answer(operator(), tenant=TENANT), Answer(CredentialRevoked, tenant=TENANT)])
    going_on = asyncio.Event()

    async def load() -> Outcome:
        answer = next(truth)
        await going_on.wait()
        return answer

    desk = Desk(_answering(load))
    asked = desk.ask("a")
    await settle()
    desk.channel.tell(*TENANT.split(" "))
    going_on.set()
    assert (await asked).subject is CredentialRevoked
    assert not desk.knows("a")
    assert desk.cache.recall_refusal(b"a") is CredentialRevoked


async def test_what_changes_at_every_load_is_answered_and_not_kept() -> None:
    """A tenant under constant change is served, each time from the database."""

    async def load() -> Outcome:
        await asyncio.sleep(0)
        desk.channel.tell(*TENANT.split(" "))
        return Answer(operator(), tenant=TENANT)

    desk = Desk(_answering(load))
    assert isinstance((await desk.answer("a")).subject, Operator)
    assert len(desk.cache) == 0


async def test_who_asks_after_the_news_never_gets_the_answer_of_a_load_that_missed_it() -> None:
    """ID4: also not when the load has been overtaken so often that it is answered unkept."""
    states, told = count(), 0

    async def load() -> Outcome:
        state = next(states)
        await asyncio.sleep(0)
        tell()
        late.append(asyncio.create_task(ask()))
        await asyncio.sleep(0)
        return Answer(operator(str(state)), tenant=TENANT)

    def tell() -> None:
        nonlocal told
        if told < 8:
            told += 1
            desk.channel.tell(*TENANT.split(" "))

    async def ask() -> None:
        known = told
        subject = (await desk.answer("a")).subject
        assert isinstance(subject, Operator)
        assert int(subject.name) >= known

    late: list[asyncio.Task[None]] = []
    desk = Desk(_answering(load))
    await ask()
    for task in late:  # grows while they run
        await task
    assert told == 8
