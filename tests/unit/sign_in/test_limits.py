"""When an attempt to sign in is admitted, and what it waits for."""

from datetime import UTC, datetime, timedelta

import pytest

from tenants.sign_in_limits.limits import ACCOUNT, LONGEST_WAIT, TENANT, TURN_LIFE, Allowance, AllowanceState, decide

_NOW = datetime(2026, 12, 1, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)
_NONE = timedelta(0)


def _state(account: timedelta = _NONE, tenant: timedelta = _NONE, turn: timedelta | None = None) -> AllowanceState:
    return AllowanceState(_NOW, _NOW + account, _NOW + tenant, None if turn is None else _NOW + turn)


@pytest.mark.parametrize("allowance", [ACCOUNT, TENANT])
def test_an_allowance_admits_so_many_at_once_and_then_one_each_interval(allowance: Allowance) -> None:
    """ID10: at the bound and one beyond it."""
    until = _NOW
    for _ in range(allowance.attempts):
        assert allowance.wait(until, _NOW) <= _NONE
        until += allowance.interval
    assert allowance.wait(until, _NOW) == allowance.interval
    assert allowance.wait(until, _NOW + allowance.interval) == _NONE


def test_a_charge_is_for_account_and_tenant_and_either_makes_it_wait() -> None:
    """ID10: by account and by tenant."""
    assert decide(_state()).wait == _NONE
    assert decide(_state()).is_charged
    for state in (_state(account=10 * ACCOUNT.interval), _state(tenant=TENANT.attempts * TENANT.interval)):
        decision = decide(state)
        assert decision.wait > _NONE
        assert decision.is_charged
        assert decision.turn == _NOW + decision.wait


def test_nobody_waits_longer_than_a_minute_for_a_turn() -> None:
    """ID10: a lock-out is impossible; beyond a minute no turn is given, so that turns do not pile up."""
    full = (ACCOUNT.attempts - 1) * ACCOUNT.interval + LONGEST_WAIT
    last = decide(_state(account=full))
    assert (last.wait, last.is_charged, last.turn) == (LONGEST_WAIT, True, _NOW + LONGEST_WAIT)
    beyond = decide(_state(account=full + _INSTANT))
    assert (beyond.wait, beyond.is_charged, beyond.turn) == (LONGEST_WAIT, False, None)


def test_a_turn_is_kept_whatever_others_do_meanwhile() -> None:
    """TH6, ID10: it was charged when it was given, and is good for a minute from then on."""
    flooded = timedelta(days=1)
    assert decide(_state(flooded, flooded, turn=timedelta(seconds=3))).wait == timedelta(seconds=3)
    for turn in (_NONE, -TURN_LIFE):
        decision = decide(_state(flooded, flooded, turn))
        assert (decision.wait, decision.is_charged) == (_NONE, False)
    assert decide(_state(flooded, flooded, -TURN_LIFE - _INSTANT)).wait == LONGEST_WAIT
