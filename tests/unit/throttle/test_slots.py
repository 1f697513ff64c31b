"""The slots of one worker: what it uses, keeps, gives back and tells, whatever Redis answers."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.throttle.slots import SLOT_LIFE, SlotAsk, Slots

_SERVER = 1_795_000_000_000_000  # microseconds that Redis's clock is ahead of ours


def _slots(limit: int = 10, workers: int = 4) -> Slots:
    slots = Slots("t:slots", ("t",), workers=workers, asker=1)
    slots.resize(limit)
    return slots


def _told(asked: SlotAsk) -> dict[str, int]:
    names = ("asker", "call", "limit", "used", "idle", "urgent", "extra", "life", "patience")
    return dict(zip(names, orjson.loads(asked.arguments[0]), strict=True))


def _answer(
    slots: Slots, asked: SlotAsk, now: float, held: int, *, free: int = 5, spare: int = 0, short: int = 0
) -> None:
    reply = [_SERVER + int(now * 1_000_000), held, free, spare, short]
    slots.answered(reply, sent=now, received=now, asked=asked)


def _holding(held: int, *, now: float = 0.0, **reply: int) -> Slots:
    slots = _slots()
    _answer(slots, slots.ask(now, [1]), now, held, **reply)
    return slots


def _begin(slots: Slots, count: int) -> None:
    for _ in range(count):
        slots.enter()


def test_no_more_begin_than_slots_are_held() -> None:
    slots = _holding(2)
    _begin(slots, 2)
    assert not slots.at_hand(0.1)
    slots.leave(0.1, 0.1)
    assert slots.at_hand(0.1)


def test_nothing_begins_once_the_lease_may_have_ended() -> None:
    """A worker that could not renew stops before Redis gives its slots to others."""
    slots = _holding(2)
    assert slots.at_hand(SLOT_LIFE - 0.01)
    assert not slots.at_hand(SLOT_LIFE)
    assert _told(slots.ask(SLOT_LIFE, [1]))["idle"] == 0


def test_what_is_in_use_is_told_with_every_call() -> None:
    """TH9: a Redis that lost its memory learns it, whatever it answered before."""
    slots = _holding(4, spare=1)
    _begin(slots, 3)
    told = _told(slots.ask(0.9, []))
    assert (told["used"], told["idle"], told["urgent"]) == (3, 1, 0)


def test_an_answer_that_a_later_call_has_overtaken_counts_for_nothing() -> None:
    """Redis believes the later call, whichever of the two it hears first."""
    slots = _holding(2, spare=1)
    first = slots.ask(0.1, [1, 1])
    slots.ask(0.2, [])
    _answer(slots, first, 0.3, 4)
    assert slots.held == 2


def test_the_lease_is_renewed_behind_a_request_that_runs_for_long() -> None:
    slots = _holding(1)
    _begin(slots, 1)
    due = slots.due()
    assert due is not None
    assert 0 < due < SLOT_LIFE / 2
    assert slots.has_news(due)


def test_after_half_a_second_without_a_request_all_of_them_are_given_back() -> None:
    slots = _holding(3, spare=3)
    _begin(slots, 1)
    slots.leave(0.01, 0.01)
    moments = [moment / 100 for moment in range(200)]
    given = next(moment for moment in moments if slots.has_news(moment) and _told(slots.ask(moment, []))["idle"] == 0)
    assert 0.5 <= given <= 1.0
    assert slots.held == 0


def test_where_slots_are_scarce_none_lies_idle_for_longer_than_a_part_of_a_request() -> None:
    slots = _holding(2)
    _begin(slots, 2)
    assert slots.leave(10.0, 0.16)
    assert slots.held == 2
    due = slots.due()
    assert due is not None
    assert slots.has_news(10.0 + 0.03)
    assert _told(slots.ask(10.03, []))["idle"] == 0


def test_one_that_others_need_more_is_given_back_at_once() -> None:
    slots = _holding(3, free=0, short=1)
    _begin(slots, 3)
    assert slots.leave(0.2, 0.1)
    assert slots.has_news(0.2)
    assert _told(slots.ask(0.2, []))["idle"] == 0


def test_a_few_are_asked_for_before_the_last_is_taken() -> None:
    """A warm request asks Redis nothing."""
    slots = _holding(4, spare=4)
    _begin(slots, 2)
    assert not slots.wants_more(0.1)
    _begin(slots, 1)
    assert slots.wants_more(0.1)
    assert _told(slots.ask(0.1, []))["extra"] == 3


def test_after_a_refusal_redis_is_left_alone_for_a_moment() -> None:
    """IS10: a flood is refused from memory."""
    slots = _holding(0, free=0)
    assert slots.closed(0.0005)
    assert not slots.closed(0.05)


def test_a_worker_that_has_all_of_them_need_not_ask_for_more() -> None:
    slots = _holding(10, free=0)
    assert slots.closed(SLOT_LIFE / 2)


def test_a_limit_that_was_lowered_is_weighed_by_redis_before_anything_begins() -> None:
    """TH7."""
    slots = _holding(8)
    _begin(slots, 3)
    before = slots.ask(0.1, [])
    slots.resize(4)
    _answer(slots, before, 0.1, 8)
    assert not slots.at_hand(0.1)
    _answer(slots, slots.ask(0.1, [1]), 0.1, 0, free=-2)
    assert not slots.at_hand(0.2)
    assert _told(slots.ask(0.2, []))["used"] == 3


@pytest.mark.parametrize(("limit", "share"), [(10, 2), (4, 1), (3, 0)])
def test_without_redis_a_worker_gives_its_share(limit: int, share: int) -> None:
    """TH8: all workers together at most the limit, which of a small one may be nothing."""
    assert _slots(limit).allowed(0.0) == share


def test_without_redis_what_others_may_still_hold_is_theirs() -> None:
    """TH8: until their leases have ended."""
    slots = _holding(1, free=0)
    assert slots.allowed(0.5) == 1
    assert slots.allowed(2 * SLOT_LIFE) == 2


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0, 1.0)),
        st.tuples(st.just("begin"), st.just(0)),
        st.tuples(st.just("end"), st.just(0)),
        st.tuples(st.just("call"), st.integers(0, 6)),
        st.tuples(st.just("lost call"), st.just(0)),
    ),
    max_size=80,
)


@given(_steps)
def test_whatever_happens_no_more_is_used_than_redis_believes(steps: list[tuple[str, float]]) -> None:
    """Of one worker's slots Redis counts at least those that are in use, for as long as the lease may last."""
    slots, now, believed, until = _slots(), 0.0, 0, 0.0
    for step, value in steps:
        if step == "wait":
            now += value
        elif step == "begin" and slots.at_hand(now):
            slots.enter()
            assert slots.used <= believed
            assert now < until
        elif step == "end" and slots.used:
            slots.leave(now, 0.01)
        elif step in {"call", "lost call"}:
            asked = slots.ask(now, [])
            told = _told(asked)
            believed = told["used"] + told["idle"] + int(value)
            until = now + SLOT_LIFE
            if step == "call":
                _answer(slots, asked, now, believed)
