"""The memory of recognised credentials, driven step by step."""

import time
from uuid import UUID

import pytest

from gateway.identity.answer import Answer, Refusal
from gateway.identity.cache import _CHANGES, REFUSAL_TRUST, TRUST, PrincipalCache
from tenants.credentials import CredentialExpired, CredentialInvalid, CredentialRevoked
from tenants.identifiers import OperatorKeyId, TenantId, new_id
from tenants.principal import Operator, Principal, PrincipalKind, TenantRef, TenantStatus
from tests.unit.identity.world import Channel

_KEY, _OWN, _TENANT, _USER = b"k" * 32, "api_key aa", "tenant 1", "user 9"


def _operator() -> Operator:
    return Operator(OperatorKeyId(new_id()), "somebody")


def _good(own: str = _OWN, tenant: str | None = _TENANT, expires_at: float | None = None) -> Answer:
    return Answer(_operator(), (own,), tenant, _USER, expires_at)


def _bad(own: str = _OWN, refusal: Refusal = CredentialInvalid) -> Answer:
    return Answer(refusal, (own,))


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture
def cache(channel: Channel) -> PrincipalCache:
    return PrincipalCache(channel)


def _keep(cache: PrincipalCache, answer: Answer, key: bytes = _KEY) -> bool:
    return cache.keep(key, answer, cache.moment())


def test_what_was_kept_is_recalled(cache: PrincipalCache) -> None:
    """Decision 1: a warm credential asks nobody."""
    answer = _good()
    assert cache.recall(_KEY) is None
    assert _keep(cache, answer)
    assert cache.recall(_KEY) is answer.subject


@pytest.mark.parametrize("change", [_OWN, _TENANT, _USER, "reset "])
def test_a_change_of_anything_it_was_made_from_makes_it_forgotten(
    channel: Channel, cache: PrincipalCache, change: str
) -> None:
    """ID4: key, tenant, person, and whatever may have happened while nobody listened. What is loaded then is good."""
    _keep(cache, _good())
    channel.tell(*change.split(" "))
    assert cache.recall(_KEY) is None
    _keep(cache, _good())
    assert cache.recall(_KEY) is not None


def test_a_change_of_something_else_leaves_it(channel: Channel, cache: PrincipalCache) -> None:
    """A tenant's change costs the others nothing."""
    _keep(cache, _good())
    for kind, changed in (("api_key", "ab"), ("tenant", "2"), ("user", "1"), ("plan", "free"), ("unknown", "1")):
        channel.tell(kind, changed)
    assert cache.recall(_KEY) is not None


@pytest.mark.parametrize("change", ["operator_key aa", "reset "])
def test_an_operator_is_forgotten_too(channel: Channel, cache: PrincipalCache, change: str) -> None:
    """ID4: who belongs to no tenant has no tenant's change to be forgotten by."""
    _keep(cache, Answer(_operator(), ("operator_key aa",)))
    channel.tell(*change.split(" "))
    assert cache.recall(_KEY) is None


@pytest.mark.parametrize("old", ["api_key old", "api_key new"])
def test_a_key_that_may_be_kept_under_two_peppers_is_forgotten_by_either_name(
    channel: Channel, cache: PrincipalCache, old: str
) -> None:
    """ID2, ID4: its hash is renewed by whichever worker meets it first."""
    _keep(cache, Answer(_operator(), ("api_key new", "api_key old"), _TENANT))
    channel.tell(*old.split(" "))
    assert cache.recall(_KEY) is None


@pytest.mark.parametrize("change", [_OWN, "reset "])
def test_a_refusal_is_forgotten_when_its_key_is_made(channel: Channel, cache: PrincipalCache, change: str) -> None:
    """ID4: a negative answer never outlives the creation of the key."""
    _keep(cache, _bad())
    assert cache.recall_refusal(_KEY) is CredentialInvalid
    assert cache.recall(_KEY) is None
    channel.tell(*change.split(" "))
    assert cache.recall_refusal(_KEY) is None


def test_a_refusal_and_a_subject_take_each_others_place(cache: PrincipalCache) -> None:
    """ID4: whichever was loaded last holds."""
    _keep(cache, _bad())
    _keep(cache, _good())
    assert cache.recall_refusal(_KEY) is None
    _keep(cache, _bad(refusal=CredentialRevoked))
    assert cache.recall(_KEY) is None
    assert cache.recall_refusal(_KEY) is CredentialRevoked


@pytest.mark.parametrize("change", [_OWN, _TENANT, _USER, "reset "])
def test_an_answer_that_a_change_overtook_is_not_kept(channel: Channel, cache: PrincipalCache, change: str) -> None:
    """ID4: a fill that raced with a revocation does not bring the key back."""
    began = cache.moment()
    channel.tell(*change.split(" "))
    assert not cache.keep(_KEY, _good(), began)
    assert cache.recall(_KEY) is None
    assert _keep(cache, _good())


def test_a_refusal_that_the_making_of_its_key_overtook_is_not_kept(channel: Channel, cache: PrincipalCache) -> None:
    """ID4: asked before the key was made, answered after."""
    began = cache.moment()
    channel.tell(*_OWN.split(" "))
    assert not cache.keep(_KEY, _bad(), began)
    assert cache.recall_refusal(_KEY) is None


def test_changes_are_remembered_no_further_than_they_are_needed(channel: Channel, cache: PrincipalCache) -> None:
    """Bounded, and on the safe side: a load that began before what is no longer remembered asks again."""
    began = cache.moment()
    for number in range(3 * _CHANGES):
        channel.tell("tenant", f"other {number}")
    assert len(cache._changes) <= _CHANGES
    assert not cache.keep(_KEY, _good(), began)
    assert _keep(cache, _good())


def test_a_deaf_worker_trusts_what_it_knows_for_five_seconds(channel: Channel, cache: PrincipalCache) -> None:
    """ID4: with the notification channel dead at most 5 s; refusals, which may hide a new key, not as long."""
    _keep(cache, _good())
    _keep(cache, _bad("api_key bb"), b"bad")
    long_ago = cache._subjects.get(_KEY)
    assert long_ago is not None
    long_ago.loaded_at -= 60
    now = time.monotonic()
    channel.confirmed_at = now - TRUST + 1
    assert cache.recall(_KEY) is not None
    channel.confirmed_at = now - TRUST - 0.001
    assert cache.recall(_KEY) is None
    channel.confirmed_at = now - REFUSAL_TRUST - 0.001
    assert cache.recall_refusal(b"bad") is None


def test_what_was_just_loaded_is_trusted_though_the_channel_is_dead(channel: Channel, cache: PrincipalCache) -> None:
    """ID4: the load itself asked the database, at most 5 s ago."""
    channel.confirmed_at = float("-inf")
    _keep(cache, _good())
    assert cache.recall(_KEY) is not None


def test_expiry_is_checked_at_every_use(cache: PrincipalCache) -> None:
    """A credential ends at its time though it is remembered."""
    _keep(cache, _good(expires_at=time.time() - 0.001))
    with pytest.raises(CredentialExpired):
        cache.recall(_KEY)


def test_a_flood_of_bad_keys_evicts_no_good_one_and_takes_no_more_room(channel: Channel) -> None:
    """TH4: maps are bounded; refusals are kept apart."""
    cache = PrincipalCache(channel, size=10, refusals=5)
    _keep(cache, _good())
    for number in range(1000):
        _keep(cache, _bad(f"api_key {number}"), b"%032d" % number)
    assert cache.recall(_KEY) is not None
    assert len(cache._refusals) == len(cache._refusals._by_own) == 5


def test_ten_thousand_tenants_in_turn_leave_no_more_behind_than_the_memory_holds(channel: Channel) -> None:
    """ID4, IS7: bounded in entries and in tenants; each that is recalled is the credential's own."""
    cache = PrincipalCache(channel, size=100)
    answers = {b"%032d" % number: _good(f"api_key {number}", f"tenant {number}") for number in range(10_000)}
    for key, answer in answers.items():
        _keep(cache, answer, key)
        assert cache.recall(key) is answer.subject
    assert len(cache) == len(cache._subjects._by_own) == 100
    assert len(cache._versions) == 100 + 1  # and the one person of them all
    recalled = {key: cache.recall(key) for key in answers}
    assert sum(each is not None for each in recalled.values()) == 100
    assert all(each is None or each is answers[key].subject for key, each in recalled.items())


def test_a_tenants_change_costs_the_same_however_many_of_its_keys_are_known(channel: Channel) -> None:
    """ID4: with 20,000 keys the event loop would stand still for 60 ms if each had to be found and forgotten."""
    cache = PrincipalCache(channel)
    for number in range(20_000):
        _keep(cache, _good(f"api_key {number}"), b"%032d" % number)
    began = time.perf_counter()
    channel.tell(*_TENANT.split(" "))
    assert time.perf_counter() - began < 0.01
    assert not any(cache.recall(b"%032d" % number) for number in range(20_000))


def test_whose_a_credential_was_is_known_until_it_makes_room(channel: Channel, cache: PrincipalCache) -> None:
    """IS10: so that what one tenant must load again waits behind its own."""
    tenant = TenantId(UUID(int=1))
    place = TenantRef(tenant, "acme", TenantStatus.ACTIVE, "t_1", "t_1", "free")
    assert cache.tenant_of(_KEY) is None
    _keep(cache, Answer(Principal(PrincipalKind.API_KEY, UUID(int=2), place, ("viewer",)), (_OWN,), _TENANT))
    channel.tell("reset")
    assert cache.recall(_KEY) is None
    assert cache.tenant_of(_KEY) == tenant
