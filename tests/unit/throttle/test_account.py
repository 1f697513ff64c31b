"""The rate limit state of one tenant between two replies of Redis."""

from gateway.throttle.account import Account
from gateway.throttle.leased_resource import ThrottleStats
from gateway.throttle.local_share import LocalShare
from gateway.throttle.windows import window_set
from tenants.principal import Window

_SERVER = 1_000_000_000  # Redis's clock at our moment 0, microseconds


def _account(quota: int = 3) -> Account:
    windows = window_set((Window("burst", quota, 1),))
    assert windows is not None
    share = LocalShare(windows, 1, {})
    return Account("t", "t", keys=("k",), windows=windows, share=share, worker_id=1, stats=ThrottleStats())


def _grant_last_token(account: Account, *, takes: float) -> None:
    """Redis replies to a waiting request: one token, the last for a second."""
    request = account.next_request(0.0, [1])
    reply = [_SERVER, 1_000_000, [1], [_SERVER, 1], [0], [1_000_000], 1]
    account.apply_reply(reply, sent=0.0, received=takes, request=request)


def test_redis_is_not_called_after_the_last_token() -> None:
    """TH6: its reply says when there will be more."""
    account = _account()
    _grant_last_token(account, takes=0.001)
    assert account.available(0.002, 1)
    account.leases.spend(0.002, 1)
    assert account.exhausted(0.003, 1)


def test_a_last_token_that_arrived_too_late_is_requested_again() -> None:
    """TH1: it is returned unspent, so that the waiting request is not refused."""
    account = _account()
    _grant_last_token(account, takes=0.4)
    assert not account.available(0.4, 1)
    assert not account.exhausted(0.4, 1)
    again = account.next_request(0.4, [1])
    assert again.worth_sending
    assert account.exhausted(0.4, 1), "the return is reported once"


def test_a_rehearsal_returns_no_token_that_redis_never_stored() -> None:
    """AZ10: a stalled worker would find more left than there is; the original keeps its own tokens."""
    account = _account()
    rehearsal = account.rehearsal()
    _grant_last_token(rehearsal, takes=0.1)
    assert rehearsal.available(0.4, 1)
    assert not rehearsal.leases.has_reports
    assert not account.available(0.0, 1)
    assert account.states(0.0, by_share=False)[0].remaining == 3
