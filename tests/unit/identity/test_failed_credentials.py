"""Failed credentials are limited by source (TH4)."""

import pytest

from gateway.identity.failed_credentials import FailedCredentials
from gateway.throttle.errors import RateLimited

_HOME, _NEIGHBOUR = "192.0.2.1", "192.0.2.2"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _fail(failures: FailedCredentials, times: int, source: str = _HOME) -> None:
    for number in range(times):
        sent = b"bad %d" % number
        failures.check(source, sent)
        failures.record_failure(source, sent)


def test_beyond_the_limit_every_credential_of_the_source_is_refused() -> None:
    """TH4."""
    failures = FailedCredentials(failures=5, seconds=60, clock=Clock())
    _fail(failures, 5)
    for _ in range(100):
        with pytest.raises(RateLimited):
            failures.check(_HOME, b"another")


def test_after_retry_after_the_source_may_try_again() -> None:
    """TH4, TH6."""
    clock = Clock()
    failures = FailedCredentials(failures=5, seconds=60, clock=clock)
    _fail(failures, 5)
    with pytest.raises(RateLimited) as refused:
        failures.check(_HOME, b"good")
    assert refused.value.retry_after == 12
    clock.now += 12
    failures.check(_HOME, b"good")


def test_other_sources_are_not_limited() -> None:
    """TH4: a wrong key counts against its own source."""
    failures = FailedCredentials(failures=3, clock=Clock())
    _fail(failures, 3)
    failures.check(_NEIGHBOUR, b"good")


def test_one_ipv6_64_is_one_source() -> None:
    """TH3, TH4."""
    failures = FailedCredentials(failures=3, clock=Clock())
    for host in range(3):
        _fail(failures, 1, f"2001:db8::{host + 1}")
    with pytest.raises(RateLimited):
        failures.check("2001:db8::99", b"good")


def test_a_recently_good_credential_passes_beside_bad_ones() -> None:
    """TH4: a flood does not shut out another client of its address. Once that credential fails, it is limited too."""
    failures = FailedCredentials(failures=3, clock=Clock())
    failures.record_success(b"good")
    _fail(failures, 3)
    failures.check(_HOME, b"good")
    failures.record_failure(_HOME, b"good")  # as after a revocation
    with pytest.raises(RateLimited):
        failures.check(_HOME, b"good")


def test_the_state_is_bounded() -> None:
    """TH4: 5,000 sources and as many good keys leave 100 of each, the newest."""
    failures = FailedCredentials(failures=1, capacity=100, clock=Clock())
    for number in range(5_000):
        _fail(failures, 1, f"10.0.{number >> 8}.{number & 255}")
        failures.record_success(b"good %d" % number)
    assert len(failures.sources) == 100
    assert len(failures._good) == 100
    with pytest.raises(RateLimited):
        failures.check("10.0.19.135", b"bad")


def test_no_credential_is_stored() -> None:
    """SE2: neither a good nor a bad one can be read back."""
    failures = FailedCredentials(failures=3, clock=Clock())
    failures.record_success(b"good")
    _fail(failures, 2)
    assert all(isinstance(key, int) for key in failures._good)
    assert set(failures.sources) == {_HOME}
