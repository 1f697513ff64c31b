"""Loading credentials: once for all who wait, together, fairly, and never for longer than somebody waits."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest

from gateway.identity import loads as module
from gateway.identity.answer import Answer
from gateway.identity.cache import PrincipalCache
from gateway.identity.loads import Load, Loads, Outcome
from gateway.identity.wanted import Secret, Wanted
from tenants.api_keys.secret import SecretKind
from tenants.credentials import CredentialRevoked
from tenants.errors import Unavailable
from tenants.identifiers import OperatorKeyId, new_id
from tenants.principal import Operator
from tests.unit.identity.world import Channel

pytestmark = pytest.mark.anyio
_TENANT = "tenant 1"


def _operator(name: str = "somebody") -> Operator:
    return Operator(OperatorKeyId(new_id()), name)


@dataclass
class _Database:
    """Answers when it is let, and remembers what it was asked."""

    open: asyncio.Event = field(default_factory=asyncio.Event)
    questions: list[list[str]] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0

    async def load(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        names = [each.text for each in wanted if isinstance(each, Secret)]
        self.questions.append(names)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.open.wait()
        finally:
            self.under_way -= 1
        return [Answer(_operator(name), (f"api_key {name}",), _TENANT) for name in names]


class _Desk:
    """A cache and its loads over some database."""

    def __init__(self, load: Load) -> None:
        self.channel = Channel()
        self.cache = PrincipalCache(self.channel)
        self.loads = Loads(self.cache, load)

    async def answer(self, name: str, lane: str = "") -> Answer:
        return await self.loads.answer(name.encode(), Secret(SecretKind.LIVE, name), lane)

    def ask(self, name: str, lane: str = "") -> asyncio.Task[Answer]:
        return asyncio.create_task(self.answer(name, lane))

    def ask_many(self, names: Sequence[str], lane: str = "") -> list[asyncio.Task[Answer]]:
        return [self.ask(name, lane) for name in names]

    def knows(self, name: str) -> bool:
        return self.cache.recall(name.encode()) is not None


def _answering(answer: Callable[[], Awaitable[Outcome]]) -> Load:
    async def load(wanted: Sequence[Wanted]) -> list[Outcome]:
        return [await answer() for _ in wanted]

    return load


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines of tenths of seconds."""
    monkeypatch.setattr(module, "_PATIENCE", 0.4)
    monkeypatch.setattr(module, "_ANSWERED_WITHIN", 0.2)


async def test_all_who_ask_for_one_credential_share_one_load() -> None:
    """A cold start does not stampede: one load for each credential, the rest wait."""
    database = _Database()
    desk = _Desk(database.load)
    asked = [desk.ask("a") for _ in range(200)]
    await _settle()
    database.open.set()
    assert len({id(answer) for answer in await asyncio.gather(*asked)}) == 1
    assert database.questions == [["a"]]
    assert desk.knows("a")


async def test_ten_thousand_credentials_go_with_few_questions_and_two_at_a_time() -> None:
    """Mass invalidation: bounded at the database, whatever comes at once."""
    database = _Database()
    database.open.set()
    desk = _Desk(database.load)
    for begin in range(0, 10_000, 500):
        answers = await asyncio.gather(*desk.ask_many([str(begin + number) for number in range(500)]))
        assert [answer.own[0] for answer in answers] == [f"api_key {begin + number}" for number in range(500)]
    assert database.most_under_way <= 2
    assert max(map(len, database.questions)) <= module._TOGETHER
    assert len(database.questions) < 10_000 / module._TOGETHER * 2
    assert len(desk.cache) == 10_000


async def test_a_flood_that_trickles_in_goes_with_few_questions_too() -> None:
    """Each comes alone, and finds nobody waiting: asked for at once, each would cost a transaction of its own."""
    database = _Database()
    database.open.set()
    desk = _Desk(database.load)
    began, asked = time.monotonic(), []
    for number in range(500):
        asked.append(desk.ask(str(number), f"sender {number}"))
        await asyncio.sleep(0.0005)
    await asyncio.gather(*asked)
    due = module._BURST + (time.monotonic() - began) / module._EVERY
    assert len(database.questions) <= due + 500 / module._TOGETHER + 3
    assert sum(map(len, database.questions)) == 500


async def test_a_credential_that_comes_in_a_quiet_moment_waits_for_no_turn() -> None:
    database = _Database()
    database.open.set()
    desk = _Desk(database.load)
    began = time.monotonic()
    for number in range(module._BURST):
        await desk.answer(str(number))
    assert time.monotonic() - began < module._BURST * module._EVERY / 2, "some 2 ms"
    assert len(database.questions) == module._BURST


async def test_when_many_wait_no_question_waits_for_its_turn() -> None:
    database = _Database()
    database.open.set()
    desk = _Desk(database.load)
    desk.loads._due = asyncio.get_running_loop().time() + 3600
    names = [str(number) for number in range(10 * module._TOGETHER)]
    async with asyncio.timeout(10):
        await asyncio.gather(*desk.ask_many(names))
    assert len(database.questions) <= 12


async def test_a_long_lane_delays_itself_and_no_other() -> None:
    """IS10: one tenant's flood of cold credentials does not starve another's single one."""
    database = _Database()
    desk = _Desk(database.load)
    flood = desk.ask_many([f"flood {number}" for number in range(900)], "flooding tenant")
    await _settle()
    other = desk.ask("other", "another tenant")
    await _settle()
    database.open.set()
    await asyncio.gather(other, *flood)
    at = next(number for number, names in enumerate(database.questions) if "other" in names)
    assert at <= 2, "the two that were under way, and then its own"
    assert len(database.questions) > 10


async def test_a_lane_that_is_too_long_is_told_so_at_once_and_others_are_not() -> None:
    """No pile-up: what could not be answered in time anyway is not waited for."""
    database = _Database()
    desk = _Desk(database.load)
    flood = desk.ask_many([str(number) for number in range(module._LONGEST_LANE + 200)], "flood")
    other = desk.ask("other", "another")
    await _settle()
    refused = [each for each in flood if each.done()]
    assert 0 < len(refused) <= 200
    assert all(isinstance(each.exception(), Unavailable) for each in refused)
    database.open.set()
    assert (await other).own == ("api_key other",)
    await asyncio.gather(*flood, return_exceptions=True)


@pytest.mark.usefixtures("impatient")
async def test_a_database_that_hangs_keeps_nobody_and_leaves_nothing_behind() -> None:
    """OP3: Unavailable within the deadline for all, and then no task, no waiter and no question is left."""
    database = _Database()
    desk = _Desk(database.load)
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
    database = _Database()
    desk = _Desk(database.load)
    await asyncio.gather(*desk.ask_many(["a", "b", "c"]), return_exceptions=True)
    database.open.set()
    assert (await desk.answer("a")).own == ("api_key a",)


async def test_a_caller_that_leaves_does_not_take_the_load_from_the_others() -> None:
    """A dropped client cancels only itself."""
    database = _Database()
    desk = _Desk(database.load)
    first, second = desk.ask("a"), desk.ask("a")
    await _settle()
    first.cancel()
    await _settle()
    database.open.set()
    assert (await second).own == ("api_key a",)
    assert database.questions == [["a"]]


async def test_what_nobody_waits_for_any_more_is_not_asked() -> None:
    """Clients that leave a queue leave no work behind."""
    database = _Database()
    desk = _Desk(database.load)
    busy = []
    for name in ("a", "b"):  # one after the other: each with a question of its own
        busy.append(desk.ask(name))
        await _settle()
    left = desk.ask_many([str(number) for number in range(100)])
    await _settle()
    for task in left:
        task.cancel()
    await _settle()
    database.open.set()
    await asyncio.gather(*busy)
    await _settle()
    assert not any("1" in question for question in database.questions)
    assert len(desk.loads) == 0


async def test_an_outage_is_told_to_all_and_remembered_for_none() -> None:
    """401 only ever means the credential: an outage leaves no refusal behind."""

    async def fail() -> Outcome:
        await asyncio.sleep(0)
        raise Unavailable(detail="down")

    desk = _Desk(_answering(fail))
    outcomes = await asyncio.gather(*(desk.ask("a") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in outcomes)
    assert len({id(each) for each in outcomes}) == 3, "one exception raised in many places shows the traces of all"
    assert desk.cache.recall_refusal(b"a") is None


async def test_a_row_that_makes_no_subject_fails_its_own_credential_alone() -> None:
    """IS10: what shares a question shares no fault."""

    async def load(wanted: Sequence[Wanted]) -> list[Outcome]:
        await asyncio.sleep(0)
        return [ValueError("a broken row") if number == 1 else Answer(_operator()) for number, _ in enumerate(wanted)]

    desk = _Desk(load)
    good, broken, other = await asyncio.gather(*desk.ask_many(["a", "b", "c"]), return_exceptions=True)
    assert isinstance(good, Answer)
    assert isinstance(other, Answer)
    assert isinstance(broken, ValueError)


async def test_a_change_during_the_load_makes_it_load_again() -> None:
    """ID4: a fill that raced with a revocation is not kept, and its waiters get the later truth."""
    truth: Iterator[Answer] = iter([Answer(_operator(), tenant=_TENANT), Answer(CredentialRevoked, tenant=_TENANT)])
    going_on = asyncio.Event()

    async def load() -> Outcome:
        answer = next(truth)
        await going_on.wait()
        return answer

    desk = _Desk(_answering(load))
    asked = desk.ask("a")
    await _settle()
    desk.channel.tell(*_TENANT.split(" "))
    going_on.set()
    assert (await asked).subject is CredentialRevoked
    assert not desk.knows("a")
    assert desk.cache.recall_refusal(b"a") is CredentialRevoked


async def test_what_changes_at_every_load_is_answered_and_not_kept() -> None:
    """A tenant under constant change is served, each time from the database."""

    async def load() -> Outcome:
        await asyncio.sleep(0)
        desk.channel.tell(*_TENANT.split(" "))
        return Answer(_operator(), tenant=_TENANT)

    desk = _Desk(_answering(load))
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
        return Answer(_operator(str(state)), tenant=_TENANT)

    def tell() -> None:
        nonlocal told
        if told < 8:
            told += 1
            desk.channel.tell(*_TENANT.split(" "))

    async def ask() -> None:
        known = told
        subject = (await desk.answer("a")).subject
        assert isinstance(subject, Operator)
        assert int(subject.name) >= known

    late: list[asyncio.Task[None]] = []
    desk = _Desk(_answering(load))
    await ask()
    for task in late:  # grows while they run
        await task
    assert told == 8
