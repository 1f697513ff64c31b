"""Limits of failed sign-ins: by account and tenant, over all workers, without locking anybody out."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

import httpx
import psycopg
import pytest

from tenants.sign_in_limits import attempts, limits, repository
from tenants.sign_in_limits.attempts import forget_old_limits
from tenants.sign_in_limits.limits import ACCOUNT, LONGEST_WAIT, PLACES, Allowance
from tests.fixtures.gateways import PASSWORD, Gateway, GatewayFactory

pytestmark = pytest.mark.anyio

_WRONG = "another long passphrase"
_KNOWN, _UNKNOWN = "member@acme.example", "nobody@acme.example"
_HOME = "198.51.100.7"


@dataclass(frozen=True, slots=True)
class Site:
    """Two workers behind a proxy that names the source of each request."""

    gateways: tuple[Gateway, Gateway]

    async def log_in(
        self, source: str, password: str = _WRONG, email: str = _KNOWN, tenant: str = "acme", worker: int = 0
    ) -> httpx.Response:
        body = {"email": email, "password": password, "tenant": tenant}
        headers = {"X-Forwarded-For": source}
        return await self.gateways[worker].client.post("/v1/auth/login", json=body, headers=headers)

    async def statuses(self, *sources: str, email: str = _KNOWN) -> list[int]:
        """Of wrong passwords, one after another."""
        return [(await self.log_in(source, email=email)).status_code for source in sources]

    def execute(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        with psycopg.connect(self.gateways[0].urls.owner, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def let_pass(self, time: timedelta) -> None:
        """As if everything had happened so much earlier."""
        self.execute("UPDATE tenantry.sign_in_allowances SET until = until - %s", time)


@pytest.fixture
async def site(gateways: GatewayFactory) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(gateways(trusted_proxies="127.0.0.1")) for _ in range(2)]
        yield Site((one, two))


def _strangers(count: int, network: int = 0) -> list[str]:
    return [f"203.0.{network}.{number}" for number in range(count)]


@pytest.mark.parametrize("email", [_KNOWN, _UNKNOWN])
async def test_an_account_admits_ten_wrong_passwords_whatever_their_sources(site: Site, email: str) -> None:
    """ID10: a new source each; a known and an unknown address alike, also when they are delayed."""
    assert await site.statuses(*_strangers(14), email=email) == [401] * 10 + [429] * 4
    refused = await site.log_in("203.0.1.1", email=email.upper())
    assert refused.json()["code"] == "rate_limited"
    assert 15 <= int(refused.headers["retry-after"]) <= LONGEST_WAIT.total_seconds()


async def test_a_known_and_an_unknown_address_are_delayed_alike(site: Site) -> None:
    """ID10: byte for byte, but for the id of the request."""
    answers = {}
    for email in (_KNOWN, _UNKNOWN):
        await site.statuses(*_strangers(10), email=email)
        answer = await site.log_in(_HOME, email=email)
        answers[email] = answer.content.replace(answer.headers["x-request-id"].encode(), b"")
        site.let_pass(timedelta(days=2))
    assert answers[_KNOWN] == answers[_UNKNOWN]


async def test_wrong_passwords_at_once_on_two_workers_are_counted_exactly(site: Site) -> None:
    """ID10: each is charged before its password is checked. The allowance grows by one in 15 seconds."""
    sent = [site.log_in(source, worker=number % 2) for number, source in enumerate(_strangers(30))]
    answers = await asyncio.gather(*sent)
    statuses = Counter(answer.status_code for answer in answers)
    assert 1 <= statuses[401] <= 10 + max(answer.elapsed for answer in answers) / ACCOUNT.interval
    assert statuses.keys() <= {401, 429, 503}  # 503 on a machine that is too slow to serve them within seconds


async def test_the_owner_is_not_delayed_at_a_usual_place(site: Site) -> None:
    """ID10: guesses from elsewhere do not delay it; a colleague's place is a usual one of the tenant."""
    assert (await site.log_in(_HOME, PASSWORD)).status_code == 200
    assert (await site.statuses(*_strangers(40)))[-1] == 429
    assert (await site.log_in(_HOME, PASSWORD)).status_code == 200
    assert (await site.log_in(_HOME, PASSWORD, email="admin@acme.example")).status_code == 200
    assert await site.statuses(*[_HOME] * 11) == [401] * 10 + [429]  # it has an allowance of its own


async def test_a_usual_place_of_another_tenant_is_none_here(site: Site) -> None:
    """ID10: a tenant of one's own does not help to guess the passwords of another one."""
    assert (await site.log_in(_HOME, PASSWORD, email="member@globex.example", tenant="globex")).status_code == 200
    assert (await site.statuses(*_strangers(20)))[-1] == 429
    assert (await site.log_in(_HOME, PASSWORD)).status_code == 429


async def test_a_stranger_that_waits_retry_after_gets_in_while_the_attack_goes_on(site: Site) -> None:
    """TH6, ID10: the turn is kept for it, on any worker, and used once."""
    await site.statuses(*_strangers(10))
    delayed = await site.log_in(_HOME, PASSWORD)
    assert delayed.status_code == 429
    again = await site.log_in(_HOME, PASSWORD)
    assert int(again.headers["retry-after"]) <= int(delayed.headers["retry-after"])  # the same turn
    await site.statuses(*_strangers(20, network=1))
    site.let_pass(timedelta(seconds=int(delayed.headers["retry-after"])))
    await site.statuses(*_strangers(20, network=2))
    assert (await site.log_in(_HOME, PASSWORD, worker=1)).status_code == 200


async def test_sources_that_have_failed_do_not_take_the_turns_of_new_ones(site: Site) -> None:
    """ID10: an attacker runs out of new sources; those that are used up wait for one another only."""
    strangers = _strangers(14)
    await site.statuses(*strangers)
    site.let_pass(timedelta(minutes=10))
    assert (await site.statuses(*(strangers[:10] * 3)))[-1] == 429
    assert (await site.log_in(_HOME, PASSWORD)).status_code == 200


async def test_good_sign_ins_cost_nothing(site: Site) -> None:
    """ID10: the charge is given back, so that a person may sign in from many places."""
    answers = [(await site.log_in(source, PASSWORD)).status_code for source in _strangers(12)]
    assert answers == [200] * 12
    (places,) = site.execute("SELECT count(*), count(DISTINCT place) FROM tenantry.sign_in_places")
    assert places == (PLACES, PLACES)
    assert site.execute("SELECT * FROM tenantry.sign_in_allowances WHERE until > now()") == []


async def test_wrong_passwords_for_many_accounts_of_a_tenant_are_limited(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ID10: by tenant; another tenant is not delayed. The real allowance is 300."""
    for module in (limits, attempts):
        monkeypatch.setattr(module, "TENANT", Allowance(attempts=5, interval=timedelta(seconds=15)))
    answers = [(await site.log_in(source, email=f"{source}@acme.example")).status_code for source in _strangers(12)]
    assert answers[:5] == [401] * 5
    assert 429 in answers
    assert (await site.log_in(_HOME, PASSWORD, email="member@globex.example", tenant="globex")).status_code == 200


async def test_an_attempt_that_must_wait_anyway_is_refused_without_a_transaction(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ID9, ID10: a flood that is refused changes nothing and holds no slot, also when it comes at once."""
    assert (await site.log_in(_HOME, PASSWORD)).status_code == 200
    await site.statuses(*_strangers(1))
    site.let_pass(-timedelta(hours=1))  # as after a thousand wrong passwords: no turn is left to give
    stored = site.execute("SELECT * FROM tenantry.sign_in_allowances ORDER BY key")
    monkeypatch.setattr(repository, "find_account", None)
    flood = await asyncio.gather(*(site.log_in(source, worker=1) for source in _strangers(100, network=3)))
    assert Counter(each.headers.get("retry-after") for each in flood) == {"60": 100}
    assert site.execute("SELECT * FROM tenantry.sign_in_allowances ORDER BY key") == stored
    monkeypatch.undo()
    assert (await site.log_in(_HOME, PASSWORD)).status_code == 200


async def test_a_suspended_tenant_costs_its_members_nothing(site: Site) -> None:
    """ID10: the password was right."""
    site.execute("UPDATE tenantry.tenants SET status = 'suspended' WHERE slug = 'acme'")
    for _ in range(12):
        assert (await site.log_in(_HOME, PASSWORD)).json()["code"] == "tenant_suspended"


async def test_what_limits_no_more_is_deleted(site: Site) -> None:
    """ID10: the tables are bounded by the failures of a day and the members' places."""
    await site.statuses(*_strangers(3))
    await site.log_in(_HOME, PASSWORD)
    database = site.gateways[0].services.database
    await forget_old_limits(database)
    assert site.execute("SELECT count(*) > 0 FROM tenantry.sign_in_allowances") == [(True,)]
    site.let_pass(timedelta(days=2))
    site.execute("UPDATE tenantry.sign_in_places SET seen_at = seen_at - interval '91 days'")
    await forget_old_limits(database)
    assert site.execute("SELECT count(*) FROM tenantry.sign_in_allowances") == [(0,)]
    assert site.execute("SELECT count(*) FROM tenantry.sign_in_places") == [(0,)]


async def test_neither_addresses_nor_sources_are_stored(site: Site) -> None:
    """SE2, ID2: keys and places are hashes under the deployment's secret."""
    await site.statuses(_HOME, email=_UNKNOWN)
    await site.log_in(_HOME, PASSWORD)
    stored = site.execute("SELECT key FROM tenantry.sign_in_allowances UNION SELECT place FROM tenantry.sign_in_places")
    assert {len(key) for (key,) in stored if isinstance(key, bytes)} == {16}
