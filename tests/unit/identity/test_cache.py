"""The principal cache, step by step."""

import time
from uuid import UUID

import pytest

from gateway.identity.cache import _MAX_CHANGES, _MAX_REFUSAL_AGE, MAX_STALENESS, PrincipalCache
from gateway.identity.lookup import LookupResult, Refusal
from tenants.credentials import CredentialExpired, CredentialInvalid, CredentialRevoked
from tenants.identifiers import OperatorKeyId, TenantId, new_id
from tenants.principal import Operator, OperatorRole, Principal, PrincipalKind, TenantRef, TenantStatus
from tests.unit.identity.cache_model import Channel

_KEY, _OWN, _TENANT, _USER = b"k" * 32, "api_key aa", "tenant 1", "user 9"
_OWNER = "api_key bb"  # a key that owns the key


def _operator() -> Operator:
    return Operator(OperatorKeyId(new_id()), "somebody", OperatorRole.ADMIN)


def _good(own: str = _OWN, tenant: str | None = _TENANT, expires_at: float | None = None) -> LookupResult:
    return LookupResult(_operator(), (own,), tenant, _USER, expires_at, line=(_OWNER, "api_key cc"))


def _bad(own: str = _OWN, refusal: Refusal = CredentialInvalid) -> LookupResult:
    return LookupResult(refusal, (own,))


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture
def cache(channel: Channel) -> PrincipalCache:
    return PrincipalCache(channel)


def _keep(cache: PrincipalCache, answer: LookupResult, key: bytes = _KEY) -> bool:
    return cache.keep(key, answer, cache.begin_load())


def test_a_kept_result_is_returned(cache: PrincipalCache) -> None:
    """A warm credential needs no query."""
    answer = _good()
    assert cache.get(_KEY) is None
    assert _keep(cache, answer)
    assert cache.get(_KEY) is answer.subject


@pytest.mark.parametrize("change", [_OWN, _TENANT, _USER, _OWNER, "reset "])
def test_a_change_of_any_row_behind_an_entry_invalidates_it(
    channel: Channel, cache: PrincipalCache, change: str
) -> None:
    """ID4, ID16: key, tenant, user, an owning key, and a reset after a lost channel. What is loaded then is valid."""
    _keep(cache, _good())
    channel.tell(*change.split(" "))
    assert cache.get(_KEY) is None
    _keep(cache, _good())
    assert cache.get(_KEY) is not None


def test_a_change_of_another_row_keeps_it(channel: Channel, cache: PrincipalCache) -> None:
    """A change of one tenant invalidates no other."""
    _keep(cache, _good())
    for kind, changed in (("api_key", "ab"), ("tenant", "2"), ("user", "1"), ("plan", "free"), ("unknown", "1")):
        channel.tell(kind, changed)
    assert cache.get(_KEY) is not None


@pytest.mark.parametrize("change", ["operator_key aa", "reset "])
def test_an_operator_key_is_invalidated_too(channel: Channel, cache: PrincipalCache, change: str) -> None:
    """ID4: an operator belongs to no tenant, and has a tag of its own."""
    _keep(cache, LookupResult(_operator(), ("operator_key aa",)))
    channel.tell(*change.split(" "))
    assert cache.get(_KEY) is None


@pytest.mark.parametrize("old", ["api_key old", "api_key new"])
def test_a_key_with_hashes_under_two_peppers_is_invalidated_by_either(
    channel: Channel, cache: PrincipalCache, old: str
) -> None:
    """ID2, ID4: the first worker that sees it renews its hash."""
    _keep(cache, LookupResult(_operator(), ("api_key new", "api_key old"), _TENANT))
    channel.tell(*old.split(" "))
    assert cache.get(_KEY) is None


@pytest.mark.parametrize("change", [_OWN, "reset "])
def test_a_refusal_is_invalidated_when_its_key_is_created(channel: Channel, cache: PrincipalCache, change: str) -> None:
    """ID4: a refusal never outlives the creation of the key."""
    _keep(cache, _bad())
    assert cache.get_refusal(_KEY) is CredentialInvalid
    assert cache.get(_KEY) is None
    channel.tell(*change.split(" "))
    assert cache.get_refusal(_KEY) is None


def test_a_refusal_and_a_subject_replace_each_other(cache: PrincipalCache) -> None:
    """ID4: the last load counts."""
    _keep(cache, _bad())
    _keep(cache, _good())
    assert cache.get_refusal(_KEY) is None
    _keep(cache, _bad(refusal=CredentialRevoked))
    assert cache.get(_KEY) is None
    assert cache.get_refusal(_KEY) is CredentialRevoked


@pytest.mark.parametrize("change", [_OWN, _TENANT, _USER, _OWNER, "reset "])
def test_a_result_outdated_by_a_change_is_not_kept(channel: Channel, cache: PrincipalCache, change: str) -> None:
    """ID4: a load that raced with a revocation does not restore the key."""
    began = cache.begin_load()
    channel.tell(*change.split(" "))
    assert not cache.keep(_KEY, _good(), began)
    assert cache.get(_KEY) is None
    assert _keep(cache, _good())


def test_a_refusal_outdated_by_the_creation_of_its_key_is_not_kept(channel: Channel, cache: PrincipalCache) -> None:
    """ID4: queried before the key was created, answered after."""
    began = cache.begin_load()
    channel.tell(*_OWN.split(" "))
    assert not cache.keep(_KEY, _bad(), began)
    assert cache.get_refusal(_KEY) is None


def test_the_list_of_changes_is_bounded(channel: Channel, cache: PrincipalCache) -> None:
    """A load that began before the oldest listed change is repeated."""
    began = cache.begin_load()
    for number in range(3 * _MAX_CHANGES):
        channel.tell("tenant", f"other {number}")
    assert len(cache._changes) <= _MAX_CHANGES
    assert not cache.keep(_KEY, _good(), began)
    assert _keep(cache, _good())


def test_nothing_is_used_without_a_confirmed_channel(channel: Channel, cache: PrincipalCache) -> None:
    """ID14: 1.6 s after the last confirmation; not what was loaded a moment ago either, nor a refusal."""
    assert MAX_STALENESS == 1.6
    now = time.monotonic()
    _keep(cache, _good())
    _keep(cache, _bad("api_key bb"), b"bad")
    channel.confirmed_at = now - MAX_STALENESS + 1
    assert cache.confirmed
    assert cache.get(_KEY) is not None
    assert cache.get_refusal(b"bad") is not None
    channel.confirmed_at = now - MAX_STALENESS - 0.001
    _keep(cache, _good())
    _keep(cache, _bad("api_key bb"), b"bad")
    assert not cache.confirmed
    assert cache.get(_KEY) is None
    assert cache.get_refusal(b"bad") is None


def test_what_was_loaded_meanwhile_is_used_once_the_channel_is_confirmed(
    channel: Channel, cache: PrincipalCache
) -> None:
    """ID14: a late heartbeat on the same connection; a new connection begins with a reset."""
    channel.confirmed_at = float("-inf")
    _keep(cache, _good())
    channel.confirmed_at = time.monotonic()
    assert cache.get(_KEY) is not None


def test_a_refusal_ends_without_a_change(cache: PrincipalCache) -> None:
    """A refused token has no row that could change."""
    _keep(cache, _bad())
    entry = cache._refusals.get(_KEY)
    assert entry is not None
    entry.loaded_at -= _MAX_REFUSAL_AGE
    assert cache.get_refusal(_KEY) is None


def test_expiry_is_checked_at_every_use(cache: PrincipalCache) -> None:
    """A cached credential expires on time."""
    _keep(cache, _good(expires_at=time.time() - 0.001))
    with pytest.raises(CredentialExpired):
        cache.get(_KEY)


def test_a_flood_of_bad_keys_evicts_no_good_one_and_is_bounded(channel: Channel) -> None:
    """TH4: the maps are bounded, and refusals are separate."""
    cache = PrincipalCache(channel, size=10, refusals=5)
    _keep(cache, _good())
    for number in range(1000):
        _keep(cache, _bad(f"api_key {number}"), b"%032d" % number)
    assert cache.get(_KEY) is not None
    assert len(cache._refusals) == len(cache._refusals._by_own) == 5


def test_ten_thousand_tenants_in_turn_stay_within_the_cache_size(channel: Channel) -> None:
    """ID4, IS7: bounded in entries and in tenants; each result belongs to its credential."""
    cache = PrincipalCache(channel, size=100)
    answers = {b"%032d" % number: _good(f"api_key {number}", f"tenant {number}") for number in range(10_000)}
    for key, answer in answers.items():
        _keep(cache, answer, key)
        assert cache.get(key) is answer.subject
    assert len(cache) == len(cache._subjects._by_own) == 100
    assert len(cache._versions) == 100 + 3  # and the one user, and the two owning keys, of all
    recalled = {key: cache.get(key) for key in answers}
    assert sum(each is not None for each in recalled.values()) == 100
    assert all(each is None or each is answers[key].subject for key, each in recalled.items())


def test_a_change_costs_the_same_for_any_number_of_keys(channel: Channel) -> None:
    """ID4: to find and drop 20,000 keys would block the event loop for 60 ms."""
    cache = PrincipalCache(channel)
    for number in range(20_000):
        _keep(cache, _good(f"api_key {number}"), b"%032d" % number)
    began = time.perf_counter()
    channel.tell(*_TENANT.split(" "))
    assert time.perf_counter() - began < 0.01
    assert not any(cache.get(b"%032d" % number) for number in range(20_000))


def test_the_tenant_of_a_credential_is_known_until_eviction(channel: Channel, cache: PrincipalCache) -> None:
    """IS10: so that the reloads of one tenant queue behind each other."""
    tenant = TenantId(UUID(int=1))
    place = TenantRef(tenant, "acme", TenantStatus.ACTIVE, "t_1", "t_1", "free")
    assert cache.tenant_of(_KEY) is None
    _keep(cache, LookupResult(Principal(PrincipalKind.API_KEY, UUID(int=2), place, ("viewer",)), (_OWN,), _TENANT))
    channel.tell("reset")
    assert cache.get(_KEY) is None
    assert cache.tenant_of(_KEY) == tenant
