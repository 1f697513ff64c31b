"""Local shares: all workers together admit at most the limit."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.throttle.local_share import Counters, LocalShare
from gateway.throttle.windows import WindowSet, window_set
from tenants.principal import Window
from tests.integration.throttle.fleet import most_in_any_window


def _set(*windows: Window) -> WindowSet:
    found = window_set(windows)
    assert found is not None
    return found


_FREE = _set(Window("burst", 10, 1), Window("sustained", 120, 60))


@given(
    st.integers(1, 8),
    st.integers(1, 50),
    st.lists(st.tuples(st.integers(0, 7), st.floats(0, 0.4)), max_size=300),
)
def test_no_sliding_window_over_all_workers_holds_more_than_the_quota(
    workers: int, quota: int, arrivals: list[tuple[int, float]]
) -> None:
    """TH8: whichever worker gets the requests, and whenever."""
    windows = _set(Window("a", quota, 1), Window("b", 2 * quota, 3))
    shares = [LocalShare(windows, workers, {}) for _ in range(workers)]
    now, admitted = 1000.0, []
    for worker, pause in arrivals:
        now += pause
        if shares[worker % workers].spend(now, 1):
            admitted.append(now)
    if admitted:
        assert most_in_any_window(admitted, 1) <= quota
        assert most_in_any_window(admitted, 3) <= 2 * quota


def test_all_windows_are_charged_or_none() -> None:
    share = LocalShare(_set(Window("a", 10, 1), Window("b", 2, 60)), 1, {})
    assert [share.spend(0.0, 1) for _ in range(3)] == [True, True, False]
    assert share.remaining(0.0) == (8, 0)


def test_keys_with_their_own_limits_also_share_the_tenants() -> None:
    """TH2: also without Redis."""
    counters: Counters = {}
    plain = LocalShare(_FREE, 1, counters)
    narrow = LocalShare(_set(Window("burst", 10, 1), Window("own", 2, 1, "key")), 1, counters)
    assert [narrow.spend(0.0, 1) for _ in range(3)] == [True, True, False]
    assert [plain.spend(0.0, 1) for _ in range(9)] == [True] * 8 + [False]


def test_a_change_of_plan_does_not_reset_the_counters() -> None:
    """TH7: usage counts under the next plan, by the length of its windows."""
    counters: Counters = {}
    LocalShare(_FREE, 1, counters).spend(0.0, 8)
    assert LocalShare(_set(Window("burst", 100, 1)), 1, counters).remaining(0.0) == (92,)


def test_usage_by_the_last_reply_counts_for_one_more_window() -> None:
    """TH8: what Redis has granted before it fails is not granted again."""
    share = LocalShare(_FREE, 2, {})
    share.carry_over((10, 20), 100.0)
    assert not share.spend(100.5, 1)
    assert share.waits(100.5, 1)[0] > 0.5
    assert share.spend(101.1, 1)
    assert share.remaining(101.1) == (4, 49)


def test_a_retry_after_the_advised_wait_succeeds() -> None:
    """TH6: also without Redis."""
    share = LocalShare(_FREE, 1, {})
    while share.spend(0.013, 1):
        pass
    wait = max(share.waits(0.02, 1))
    assert not share.spend(0.02 + wait - 0.02, 1)
    assert share.spend(0.02 + wait, 1)


def test_debts_are_reported_once_and_again_after_a_failed_report() -> None:
    """TH8: Redis learns what was spent while it was unreachable."""
    share = LocalShare(_FREE, 1, {})
    share.spend(0.0, 3)
    assert share.has_unreported
    ages = share.take_unreported(0.5)
    assert [debts[1::2] for debts in ages] == [[3], [3]]
    assert all(debts[0] <= 500_000 for debts in ages)
    assert share.take_unreported(0.5) == [[], []]
    share.restore_unreported()
    assert share.take_unreported(0.5) == ages


def test_a_quota_smaller_than_the_number_of_workers_admits_nothing() -> None:
    """TH8: at most the limit."""
    assert not LocalShare(_set(Window("a", 3, 1)), 4, {}).spend(0.0, 1)


def test_counters_that_nobody_uses_are_forgotten() -> None:
    """TH4: a tenant's principals come and go. What was spent still counts, and what others count with stays."""
    counters: Counters = {}
    tenant, mine, other = (
        Window("tenant", 10, 60),
        Window("principal", 5, 60, "mine"),
        Window("principal", 5, 60, "other"),
    )
    first, second = LocalShare(_set(tenant, mine), 1, counters), LocalShare(_set(tenant, other), 1, counters)
    first.close(0.0)
    assert counters.keys() == {("", 60), ("other", 60)}
    second.spend(0.0, 4)
    second.close(0.0)
    assert LocalShare(_set(tenant, other), 1, counters).remaining(0.0) == (6, 1)
