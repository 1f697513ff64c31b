"""Failed credentials cost their sender (TH4)."""

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
        failures.refuse_repeated(source, sent)
        failures.count(source, sent)


def test_past_the_bound_a_source_is_refused_whatever_it_sends() -> None:
    """TH4."""
    failures = FailedCredentials(failures=5, seconds=60, clock=Clock())
    _fail(failures, 5)
    for _ in range(100):
        with pytest.raises(RateLimited):
            failures.refuse_repeated(_HOME, b"another")


def test_a_sender_that_waits_as_it_is_told_is_heard_again() -> None:
    """TH4, TH6."""
    clock = Clock()
    failures = FailedCredentials(failures=5, seconds=60, clock=clock)
    _fail(failures, 5)
    with pytest.raises(RateLimited) as refused:
        failures.refuse_repeated(_HOME, b"good")
    assert refused.value.retry_after == 12
    clock.now += 12
    failures.refuse_repeated(_HOME, b"good")


def test_other_sources_are_not_touched() -> None:
    """TH4: a wrong key costs its sender, nobody else."""
    failures = FailedCredentials(failures=3, clock=Clock())
    _fail(failures, 3)
    failures.refuse_repeated(_NEIGHBOUR, b"good")


def test_one_ipv6_64_is_one_sender() -> None:
    """TH3, TH4."""
    failures = FailedCredentials(failures=3, clock=Clock())
    for host in range(3):
        _fail(failures, 1, f"2001:db8::{host + 1}")
    with pytest.raises(RateLimited):
        failures.refuse_repeated("2001:db8::99", b"good")


def test_a_credential_that_was_good_a_moment_ago_passes_beside_bad_ones() -> None:
    """TH4: a neighbour behind the same address is not shut out by the flood; once it fails it is as any other."""
    failures = FailedCredentials(failures=3, clock=Clock())
    failures.clear(b"good")
    _fail(failures, 3)
    failures.refuse_repeated(_HOME, b"good")
    failures.count(_HOME, b"good")  # as after a revocation
    with pytest.raises(RateLimited):
        failures.refuse_repeated(_HOME, b"good")


def test_what_is_remembered_is_bounded() -> None:
    """TH4: 5,000 sources and as many good keys leave 100 of each, the newest."""
    failures = FailedCredentials(failures=1, remembered=100, clock=Clock())
    for number in range(5_000):
        _fail(failures, 1, f"10.0.{number >> 8}.{number & 255}")
        failures.clear(b"good %d" % number)
    assert len(failures.sources) == 100
    assert len(failures._good) == 100
    with pytest.raises(RateLimited):
        failures.refuse_repeated("10.0.19.135", b"bad")


def test_no_credential_is_kept() -> None:
    """SE2: neither a good nor a bad one can be read back."""
    failures = FailedCredentials(failures=3, clock=Clock())
    failures.clear(b"good")
    _fail(failures, 2)
    assert all(isinstance(key, int) for key in failures._good)
    assert set(failures.sources) == {_HOME}
