"""What a worker believes of one tenant's windows between two answers of Redis."""

from gateway.throttle.account import Account
from gateway.throttle.figures import Figures
from gateway.throttle.share import Share
from gateway.throttle.windows import window_set
from tenants.principal import Window

_SERVER = 1_000_000_000  # Redis's clock at our moment 0, microseconds


def _account(quota: int = 3) -> Account:
    windows = window_set((Window("burst", quota, 1),), ())
    assert windows is not None
    share = Share(windows, 1, {})
    return Account("t", "t", keys=("k",), windows=windows, share=share, asker=1, figures=Figures())


def _grant_the_last(account: Account, *, takes: float) -> None:
    """Redis answers a request that waits: one token, the last for a second."""
    asked = account.ask(0.0, [1])
    reply = [_SERVER, 1_000_000, [1], [_SERVER, 1], [0], [1_000_000], 1]
    account.answered(reply, sent=0.0, received=takes, asked=asked)


def test_after_the_last_token_redis_is_asked_no_more() -> None:
    """TH6: it has said when there will be more."""
    account = _account()
    _grant_the_last(account, takes=0.001)
    assert account.at_hand(0.002, 1)
    account.leases.spend(0.002, 1)
    assert account.closed(0.003, 1)


def test_a_last_token_that_came_too_late_is_asked_for_again() -> None:
    """TH1: it goes back unspent, so that the request which waits for it is not refused."""
    account = _account()
    _grant_the_last(account, takes=0.4)
    assert not account.at_hand(0.4, 1)
    assert not account.closed(0.4, 1)
    again = account.ask(0.4, [1])
    assert again.worth_sending
    assert account.closed(0.4, 1), "what went back is told once"
