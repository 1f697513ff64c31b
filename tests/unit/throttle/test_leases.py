"""Leased tokens: never more are spent than granted, none outside its time, and each is reported once."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.throttle.clock import ServerClock
from gateway.throttle.leased_resource import ThrottleStats
from gateway.throttle.leases import RETURNED, Grant, TokenLeases

_TICK = 0.01


def _leases(reserve: int = 0) -> TokenLeases:
    clock = ServerClock()
    clock.observe(sent=0.0, received=0.0, server=0)
    return TokenLeases(clock, _TICK, ThrottleStats(), reserve=reserve)


def _microseconds(seconds: float) -> int:
    return int(seconds * 1_000_000)


def test_a_token_is_spent_once() -> None:
    leases = _leases()
    leases.add([Grant(0, 2)], server=0, until=500_000, now=0.0)
    assert [leases.spend(0.001, 1) for _ in range(3)] == [True, True, False]


def test_a_token_is_spent_neither_before_its_start_nor_after_its_end() -> None:
    """TH1: a promised token is for the moment at which a window has room again."""
    leases = _leases()
    leases.add([Grant(100_000, 1)], server=0, until=200_000, now=0.0)
    assert not leases.spend(0.099, 1)
    assert not leases.spend(0.21, 1)
    leases.add([Grant(300_000, 1)], server=250_000, until=400_000, now=0.25)
    assert leases.spend(0.31, 1)


def test_a_cost_is_spent_whole_or_not_at_all() -> None:
    leases = _leases()
    leases.add([Grant(0, 4)], server=0, until=500_000, now=0.0)
    assert leases.spend(0.001, 3)
    assert not leases.spend(0.001, 3)
    assert leases.spend(0.001, 1)


def test_unspent_tokens_are_returned_and_spent_tokens_are_dated() -> None:
    leases = _leases()
    leases.add([Grant(0, 5)], server=0, until=500_000, now=0.0)
    leases.spend(0.005, 2)
    leases.refresh(0.6)
    reports = {report.spent == RETURNED: report.tokens for report in leases.take_reports()}
    assert reports == {False: 2, True: 3}
    assert leases.take_reports() == []


def test_a_small_reserve_is_dated_only_when_redis_is_called() -> None:
    """TH1: no earlier than any was spent. Requests at a low rate need no refresh and no report each."""
    leases = _leases(reserve=10)
    leases.add([Grant(0, 10)], server=0, until=30_000_000, now=0.0)
    refresh_at = leases.refresh_at
    for second in range(1, 6):
        assert leases.spend(float(second), 1)
    assert leases.refresh_at == refresh_at
    leases.refresh(6.0)
    [reports] = leases.take_reports()
    assert reports.tokens == 5
    assert 5_000_000 <= reports.spent <= 6_010_000


def test_a_promised_token_is_not_returned_before_its_start() -> None:
    """TH1: Redis does not count it yet, so that a return would subtract something else."""
    leases = _leases()
    leases.add([Grant(0, 2), Grant(300_000, 3)], server=0, until=500_000, now=0.0)
    leases.return_all(0.0)
    assert [report.tokens for report in leases.take_reports()] == [2]
    assert not leases.spend(0.4, 1)


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0, 0.2)),
        st.tuples(st.just("spend"), st.integers(1, 3)),
        st.tuples(st.just("grant"), st.lists(st.tuples(st.floats(0, 0.25), st.integers(1, 40)), max_size=4)),
    ),
    max_size=60,
)


def _until(moment: int, tokens: Counter[int]) -> int:
    return sum(count for each, count in tokens.items() if each <= moment)


@given(_steps, st.integers(0, 60), st.sampled_from([500_000, 30_000_000]))
def test_each_token_is_spent_or_returned_once_and_in_its_time(
    steps: list[tuple[str, object]], reserve: int, ttl: int
) -> None:
    """TH1: Redis never counts less than was spent, and dates nothing too early."""
    leases, now, granted = _leases(reserve), 0.0, 0
    spent, dated = Counter[int](), Counter[int]()  # tokens, by the microsecond
    for step, value in steps:
        if step == "wait" and isinstance(value, float):
            now += value
        elif step == "spend" and isinstance(value, int):
            spent[_microseconds(now)] += value if leases.spend(now, value) else 0
        elif isinstance(value, list):
            server = _microseconds(now)
            grants = [Grant(server + _microseconds(begin), tokens) for begin, tokens in sorted(value)]
            leases.add(grants, server=server, until=server + ttl, now=now)
            granted += sum(tokens for _, tokens in value)
            for report in leases.take_reports():
                assert report.spent <= _microseconds(now + 2 * _TICK)
                dated[report.spent] += report.tokens if report.spent != RETURNED else 0
        assert leases.spent == spent.total()
        assert leases.spent + leases.tokens + leases.future_tokens <= granted
    for moment in dated:
        assert _until(moment, dated) <= _until(moment, spent)
