"""Floods of credentials, and more tenants than the cache holds, through the whole gateway with small caches."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from uuid import UUID

import psycopg
import pytest

from gateway.identity.cache import PrincipalCache
from gateway.identity.credential_loader import CredentialLoader
from gateway.identity.database_lookup import DatabaseLookup
from gateway.identity.failed_credentials import FailedCredentials
from gateway.identity.lookup import Lookup
from gateway.identity.lookup import LookupResult as Loaded
from gateway.identity.principals import Principals
from gateway.identity.stage import IdentityStage
from gateway.services import Services
from migrations.servable import Servable
from tenants.identifiers import API_KEY, TENANT, UserId, new_id, read, show
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.tokens import SecretKind, generate
from tenants.sign_in.access_tokens import Claims
from tests.asgi import HOST, Response, call, http_scope
from tests.fixtures.gateways import Gateway, GatewayFactory

pytestmark = pytest.mark.anyio

_SUBJECTS, _REFUSALS = 200, 100  # cache sizes
_FLOOD = 2_000  # requests
_TENANTS = 10_000
_AT_ONCE = 100
_SENDER = "192.0.2.1"
_FIRST_OF_MANY = IPv4Address("10.0.0.0")


class SmallCaches:
    """Replaces a worker's caches, and counts the database queries."""

    def __init__(self) -> None:
        self.queries = 0
        self.cache: PrincipalCache

    def rebuilt(self, services: Services) -> Services:
        features = services.features
        self.cache = PrincipalCache(services.listener, size=_SUBJECTS, refusals=_REFUSALS)
        loader = DatabaseLookup(
            services.database,
            features.hasher,
            features.api_keys,
            features.operator_keys,
            features.roles,
            Servable(features.release),
        )

        async def load(wanted: Sequence[Lookup]) -> list[Loaded | Exception]:
            self.queries += 1
            return await loader.load(wanted)

        principals = Principals(self.cache, CredentialLoader(self.cache, load), features.tokens)
        identity = IdentityStage(principals, FailedCredentials(), features.refusals)
        return replace(services, principals=principals, identity=identity)


@dataclass(frozen=True, slots=True)
class Sent:
    """A key and its source address."""

    key: str
    sender: str = _SENDER


@dataclass(frozen=True, slots=True)
class Environment:
    """A gateway with small caches."""

    gateway: Gateway
    small: SmallCaches

    async def ask(self, sent: Sent) -> Response:
        headers = [HOST, (b"authorization", b"Bearer " + sent.key.encode())]
        return await call(self.gateway.app, http_scope(path="/v1/me", headers=headers, client=(sent.sender, 4711)))

    async def answers(self, requests: Sequence[Sent]) -> AsyncIterator[tuple[Sent, Response]]:
        """So many concurrently, one group after another."""
        for at in range(0, len(requests), _AT_ONCE):
            group = requests[at : at + _AT_ONCE]
            for pair in zip(group, await asyncio.gather(*map(self.ask, group)), strict=True):
                yield pair

    async def flood(self, bad: Sequence[Sent]) -> Counter[int]:
        """Statuses of bad keys; in between, every good key of the same source must be accepted."""
        seen = Counter[int]()
        good = [Sent(key) for tenant in (self.gateway.acme, self.gateway.globex) for key in tenant.keys.values()]
        async for sent, answer in self.answers(_mixed(bad, good)):
            if sent in good:
                assert answer.status == 200
            else:
                seen[answer.status] += 1
                assert answer.status == 401 or answer.header("retry-after")
        assert len(self.small.cache._refusals) <= _REFUSALS
        assert len(self.small.cache) == len(good)
        return seen

    @property
    def loads(self) -> int:
        """Credentials that the database was queried for."""
        return self.gateway.services.principals.loads


def _mixed(bad: Sequence[Sent], good: Sequence[Sent]) -> list[Sent]:
    """All good keys first, then again after each group of bad ones."""
    step = _AT_ONCE - len(good)
    return [each for at in range(0, len(bad), step) for each in (*good, *bad[at : at + step])]


def _senders() -> Iterator[str]:
    return (str(_FIRST_OF_MANY + number) for number in range(_FLOOD))


@pytest.fixture
async def environment(gateways: GatewayFactory) -> AsyncIterator[Environment]:
    """With Redis, to detect that a good caller is refused though tokens are left."""
    small = SmallCaches()
    async with gateways(rebuilt=small.rebuilt) as gateway:
        yield Environment(gateway, small)


async def test_random_keys_of_many_sources_are_refused_and_delay_no_other(environment: Environment) -> None:
    """ID1, TH4: well-formed unknown keys, each queried once, many with one query."""
    keys = await asyncio.to_thread(_new_keys, _FLOOD)
    assert await environment.flood([*map(Sent, keys, _senders())]) == {401: _FLOOD}
    assert environment.loads == _FLOOD + 8
    assert environment.small.queries < _FLOOD / 10


async def test_random_keys_of_one_source_are_limited(environment: Environment) -> None:
    """TH4: after a hundred failures look-ups are paced; good keys from the same address still pass."""
    keys = await asyncio.to_thread(_new_keys, _FLOOD)
    began = time.monotonic()
    seen = await environment.flood([*map(Sent, keys)])
    assert set(seen) == {401, 429}
    assert 100 <= seen[401] <= 100 + 2 * _AT_ONCE + (time.monotonic() - began) / 0.6
    assert environment.loads <= seen[401] + 8 + 2 * 16 * (1 + (time.monotonic() - began) / 0.05)


async def test_a_bad_key_is_queried_once_while_its_refusal_is_cached(environment: Environment) -> None:
    """TH4, TH12: from any source; sent again and again it is told the truth, and is no guessing."""
    began, bad = time.monotonic(), generate(SecretKind.LIVE)
    assert await environment.flood([Sent(bad, sender) for sender in _senders()]) == {401: _FLOOD}
    assert await environment.flood([Sent(bad)] * _FLOOD) == {401: _FLOOD}
    assert environment.loads <= 8 + 2 + (time.monotonic() - began)


async def test_a_looping_revoked_key_refuses_no_other_credential_of_its_address(environment: Environment) -> None:
    """TH12: keys and tokens that this worker has not seen yet."""
    gateway = environment.gateway
    revoked = gateway.acme.keys["viewer"]
    _execute(
        gateway, "UPDATE tenantry.api_keys SET revoked_at = now() WHERE id = %s", await _id_of(environment, revoked)
    )
    await gateway.catch_up()
    for _ in range(3):
        answers = [answer async for _, answer in environment.answers([Sent(revoked)] * 200)]
        assert {(answer.status, answer.json()["code"]) for answer in answers} == {(401, "credential_revoked")}
        token = _token(gateway, "member@acme.example")
        assert (await environment.ask(Sent(token))).status == 200
    assert (await environment.ask(Sent(gateway.globex.keys["viewer"]))).status == 200


async def test_good_credentials_pass_beside_guesses_of_their_address(environment: Environment) -> None:
    """TH12, TH4: beyond the limit a guess is refused, and so is a forged token; a good one that is new here is not."""
    guesses = await asyncio.to_thread(_new_keys, 300)
    seen = Counter([answer.status async for _, answer in environment.answers([*map(Sent, guesses)])])
    assert seen[429] > 0
    token = _token(environment.gateway, "member@acme.example")
    assert (await environment.ask(Sent(token))).status == 200
    assert (await environment.ask(Sent(environment.gateway.acme.keys["admin"]))).status == 200
    admin = _token(environment.gateway, "admin@acme.example")
    forged = [Sent(_forged(admin, at)) for at in range(50)]
    seen = Counter([answer.status async for _, answer in environment.answers(forged)])
    assert seen[429] > seen[401]  # one more guess is allowed each 0.6 s


async def test_a_forged_token_that_is_sent_again_costs_no_signature(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TH4: its refusal is cached like that of a key."""
    verified = 0
    tokens = environment.gateway.services.features.tokens
    verify = tokens.verify

    def counted(token: bytes) -> Claims:
        nonlocal verified
        verified += 1
        return verify(token)

    monkeypatch.setattr(tokens, "verify", counted)
    forged, began = _forged(_token(environment.gateway, "admin@acme.example")), time.monotonic()
    for _ in range(200):
        assert (await environment.ask(Sent(forged))).status == 401
    assert 1 <= verified <= 2 + (time.monotonic() - began)


async def test_ten_thousand_tenants_in_turn_are_never_confused(environment: Environment) -> None:
    """ID4, IS7: fifty times the cache size; each key is queried once each time that it was evicted."""
    tenants = await asyncio.to_thread(_add_tenants, environment.gateway)
    await environment.gateway.catch_up()
    again = list(tenants)[:500]
    async for sent, answer in environment.answers([Sent(key) for key in (*tenants, *again)]):
        assert answer.status == 200
        assert answer.json()["tenant"]["id"] == show(TENANT, tenants[sent.key])
        assert len(environment.small.cache) <= _SUBJECTS
    assert environment.loads == _TENANTS + len(again)
    assert environment.small.queries < _TENANTS / 10


async def _id_of(environment: Environment, key: str) -> UUID:
    principal = (await environment.ask(Sent(key))).json()["principal"]
    found = read(API_KEY, principal["id"])
    assert found is not None
    return found


def _execute(gateway: Gateway, statement: str, *parameters: object) -> list[tuple[UUID, ...]]:
    with psycopg.connect(gateway.urls.owner, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def _token(gateway: Gateway, email: str) -> str:
    """An access token of this person in acme that no worker has seen."""
    ((user,),) = _execute(gateway, "SELECT id FROM tenantry.users WHERE email = %s", email)
    return gateway.services.features.tokens.issue(UserId(user), gateway.acme.ref.id, new_id())


def _forged(token: str, at: int = 0) -> str:
    """With another signature, well-formed."""
    content, _, signature = token.rpartition(".")
    return f"{content}.{signature[:at]}{'A' if signature[at] != 'A' else 'B'}{signature[at + 1 :]}"


def _new_keys(count: int) -> list[str]:
    return [generate(SecretKind.LIVE) for _ in range(count)]


def _add_tenants(gateway: Gateway) -> dict[str, UUID]:
    """Rows of tenants without schemas, which are not used here, and a key for each."""
    tenants = {key: new_id() for key in _new_keys(_TENANTS)}
    hasher = gateway.services.features.hasher
    with psycopg.connect(gateway.urls.superuser) as connection, connection.cursor() as cursor:
        with cursor.copy("COPY tenantry.tenants (id, slug, name, plan_code) FROM STDIN") as copy:
            for tenant in tenants.values():
                copy.write_row((tenant, f"t{tenant.hex}", "One of many", "scale"))
        columns = "id, tenant_id, name, role, prefix, last4, digest, pepper_version"
        with cursor.copy(f"COPY tenantry.api_keys ({columns}) FROM STDIN") as copy:
            for key, tenant in tenants.items():
                copy.write_row(_key_row(hasher, key, tenant))
    return tenants


def _key_row(hasher: SecretHasher, key: str, tenant: UUID) -> tuple[object, ...]:
    digest = hasher.digest(key)
    return new_id(), tenant, "the key", "viewer", "tn_live", "0000", digest.value, digest.pepper_version
