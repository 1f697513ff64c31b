"""Failed credentials are limited by source (TH4), and each counts once (TH12)."""

import asyncio

import pytest

from gateway.identity import turns
from gateway.identity.failed_credentials import FailedCredentials
from tenants.credentials import CredentialExpired, CredentialInvalid, CredentialRevoked
from tenants.errors import RateLimited, TenantryError

pytestmark = pytest.mark.anyio

_HOME, _NEIGHBOUR = "192.0.2.1", "192.0.2.2"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _fail(failures: FailedCredentials, times: int, source: str = _HOME) -> list[TenantryError]:
    return [failures.refused(source, b"bad %d" % number, CredentialInvalid()) for number in range(times)]


def test_beyond_the_limit_further_guesses_are_refused() -> None:
    """TH4: at the bound and one beyond it."""
    failures = FailedCredentials(failures=5, seconds=60, clock=Clock())
    assert [type(each) for each in _fail(failures, 7)] == [CredentialInvalid] * 5 + [RateLimited] * 2


def test_one_bad_credential_counts_once_however_often_it_is_sent() -> None:
    """TH12: 10,000 requests with a revoked key leave the allowance of its source as one does."""
    failures = FailedCredentials(failures=2, clock=Clock())
    for _ in range(10_000):
        assert isinstance(failures.refused(_HOME, b"revoked", CredentialRevoked()), CredentialRevoked)
    assert failures.turn(_HOME, b"not seen yet") is None
    assert isinstance(failures.refused(_HOME, b"another", CredentialInvalid()), CredentialInvalid)
    assert failures.turn(_HOME, b"not seen yet") is not None


def test_a_credential_counts_for_each_source_that_sends_it() -> None:
    """TH12: nobody uses up another source's allowance, and nobody's guesses are hidden by another's."""
    failures = FailedCredentials(failures=1, clock=Clock())
    for source in (_HOME, _NEIGHBOUR):
        failures.refused(source, b"bad", CredentialInvalid())
        assert failures.turn(source, b"other") is not None


def test_an_ended_credential_is_told_so_beyond_the_limit() -> None:
    """TH12: it is no guess, and its client must learn that it has to get another one."""
    failures = FailedCredentials(failures=1, clock=Clock())
    _fail(failures, 1)
    for error in (CredentialRevoked(), CredentialExpired()):
        assert failures.refused(_HOME, b"ended", error) is error


def test_after_retry_after_the_source_may_try_again() -> None:
    """TH4, TH6."""
    clock = Clock()
    failures = FailedCredentials(failures=5, seconds=60, clock=clock)
    refused = _fail(failures, 6)[-1]
    assert refused.retry_after == 12
    clock.now += 12
    assert isinstance(failures.refused(_HOME, b"another", CredentialInvalid()), CredentialInvalid)


def test_other_sources_are_not_limited() -> None:
    """TH4: a wrong key counts against its own source."""
    failures = FailedCredentials(failures=3, clock=Clock())
    _fail(failures, 3)
    assert failures.turn(_NEIGHBOUR, b"good") is None


def test_one_ipv6_64_is_one_source() -> None:
    """TH3, TH4."""
    failures = FailedCredentials(failures=3, clock=Clock())
    for host in range(3):
        failures.refused(f"2001:db8::{host + 1}", b"bad %d" % host, CredentialInvalid())
    assert failures.turn("2001:db8::99", b"good") is not None


def test_a_recently_good_credential_needs_no_turn() -> None:
    """TH4: a flood does not delay another client of its address. Once that credential fails, it is limited too."""
    failures = FailedCredentials(failures=3, clock=Clock())
    failures.record_success(b"good")
    _fail(failures, 3)
    assert failures.turn(_HOME, b"good") is None
    failures.refused(_HOME, b"good", CredentialRevoked())
    assert failures.turn(_HOME, b"good") is not None


async def test_an_unknown_credential_of_a_limited_source_waits_for_its_turn() -> None:
    """TH12: it is not refused; the next one gets its turn with it."""
    failures = FailedCredentials(failures=1, clock=Clock())
    _fail(failures, 1)
    turn = failures.turn(_HOME, b"not seen yet")
    assert turn is not None
    async with asyncio.timeout(5):
        await asyncio.gather(*(turn("keys") for _ in range(10)))


async def test_more_unknown_credentials_than_may_wait_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """TH4: keys and tokens wait in queues of their own, so that a flood of keys refuses no token."""
    monkeypatch.setattr(turns, "_MOST_OF_ONE", 3)
    failures = FailedCredentials(failures=1, clock=Clock())
    _fail(failures, 1)
    turn = failures.turn(_HOME, b"not seen yet")
    assert turn is not None
    waiting = [asyncio.ensure_future(turn("keys")) for _ in range(4)]
    await asyncio.sleep(0)
    await turn("tokens")
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in outcomes] == [type(None)] * 3 + [RateLimited]


def test_the_state_is_bounded() -> None:
    """TH4: 5,000 sources, bad and good keys leave 100 of each, the newest."""
    failures = FailedCredentials(failures=1, capacity=100, clock=Clock())
    for number in range(5_000):
        _fail(failures, 1, f"10.0.{number >> 8}.{number & 255}")
        failures.record_success(b"good %d" % number)
    assert len(failures._sources) == len(failures._failed) == len(failures._good) == 100
    assert failures.turn("10.0.19.135", b"bad") is not None


def test_a_looping_credential_is_not_dropped_for_newer_ones() -> None:
    """TH12: others that fail between its requests do not make it count again."""
    failures = FailedCredentials(failures=3, capacity=10, clock=Clock())
    for number in range(1_000):
        failures.refused(_HOME, b"revoked", CredentialRevoked())
        failures.refused(f"10.0.{number >> 8}.{number & 255}", b"bad", CredentialInvalid())
    assert len(failures._failed) == 10
    assert failures.turn(_HOME, b"good") is None


def test_no_credential_is_stored() -> None:
    """SE2: neither a good nor a bad one can be read back."""
    failures = FailedCredentials(failures=3, clock=Clock())
    failures.record_success(b"good")
    _fail(failures, 2)
    assert all(isinstance(key, int) for key in (*failures._good, *failures._failed))
    assert set(failures._sources) == {_HOME}
