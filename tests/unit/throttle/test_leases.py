"""Tokens at hand: never more spent than granted, never outside their time, and each reported once."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.throttle.clock import ServerClock
from gateway.throttle.figures import Figures
from gateway.throttle.leases import GIVEN_BACK, Grant, Leases

_TICK = 0.01


def _leases(spare: int = 0) -> Leases:
    clock = ServerClock()
    clock.saw(sent=0.0, received=0.0, server=0)
    return Leases(clock, _TICK, Figures(), spare=spare)


def _microseconds(seconds: float) -> int:
    return int(seconds * 1_000_000)


def test_a_token_is_spent_once() -> None:
    leases = _leases()
    leases.add([Grant(0, 2)], server=0, until=500_000, now=0.0)
    assert [leases.spend(0.001, 1) for _ in range(3)] == [True, True, False]


def test_a_token_is_not_spent_before_it_begins_nor_after_its_end() -> None:
    """TH1: a promise is for the moment when room will have come free."""
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


def test_what_is_left_at_the_end_is_given_back_and_what_was_spent_is_dated() -> None:
    leases = _leases()
    leases.add([Grant(0, 5)], server=0, until=500_000, now=0.0)
    leases.spend(0.005, 2)
    leases.turn(0.6)
    told = {move.spent == GIVEN_BACK: move.tokens for move in leases.take_moves()}
    assert told == {False: 2, True: 3}
    assert leases.take_moves() == []


def test_a_few_tokens_are_dated_when_redis_is_told() -> None:
    """TH1: no earlier than any was spent; the requests of a quiet tenant need no turn and write no date each."""
    leases = _leases(spare=10)
    leases.add([Grant(0, 10)], server=0, until=30_000_000, now=0.0)
    edge = leases.edge
    for second in range(1, 6):
        assert leases.spend(float(second), 1)
    assert leases.edge == edge
    leases.turn(6.0)
    [told] = leases.take_moves()
    assert told.tokens == 5
    assert 5_000_000 <= told.spent <= 6_010_000


def test_a_promise_is_not_given_back_before_it_has_begun() -> None:
    """TH1: Redis does not count it yet, so to take it back would count something else less."""
    leases = _leases()
    leases.add([Grant(0, 2), Grant(300_000, 3)], server=0, until=500_000, now=0.0)
    leases.give_all_back(0.0)
    assert [move.tokens for move in leases.take_moves()] == [2]
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
def test_whatever_happens_each_token_is_spent_or_given_back_once_and_in_its_time(
    steps: list[tuple[str, object]], spare: int, life: int
) -> None:
    """TH1: the count that Redis keeps is never less than what was spent, and dates it no earlier."""
    leases, now, granted = _leases(spare), 0.0, 0
    spent, dated = Counter[int](), Counter[int]()  # tokens, by the microsecond
    for step, value in steps:
        if step == "wait" and isinstance(value, float):
            now += value
        elif step == "spend" and isinstance(value, int):
            spent[_microseconds(now)] += value if leases.spend(now, value) else 0
        elif isinstance(value, list):
            server = _microseconds(now)
            grants = [Grant(server + _microseconds(begin), tokens) for begin, tokens in sorted(value)]
            leases.add(grants, server=server, until=server + life, now=now)
            granted += sum(tokens for _, tokens in value)
            for move in leases.take_moves():
                assert move.spent <= _microseconds(now + 2 * _TICK)
                dated[move.spent] += move.tokens if move.spent != GIVEN_BACK else 0
        assert leases.spent == spent.total()
        assert leases.spent + leases.tokens + leases.coming <= granted
    for moment in dated:
        assert _until(moment, dated) <= _until(moment, spent)
