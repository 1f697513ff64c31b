"""The concurrency permits of one worker: what it uses, keeps, returns and reports."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.throttle.concurrency import PERMIT_TTL, ConcurrencyPermits, PermitRequest

_SERVER = 1_795_000_000_000_000  # microseconds that Redis's clock is ahead of ours


def _permits(limit: int = 10, workers: int = 4) -> ConcurrencyPermits:
    permits = ConcurrencyPermits("t:permits", ("t",), workers=workers, worker_id=1)
    permits.set_limit(limit)
    return permits


def _reported(request: PermitRequest) -> dict[str, int]:
    names = ("worker", "call", "limit", "used", "idle", "urgent", "extra", "ttl", "pause")
    return dict(zip(names, orjson.loads(request.arguments[0]), strict=True))


def _reply(
    permits: ConcurrencyPermits,
    request: PermitRequest,
    now: float,
    held: int,
    *,
    free: int = 5,
    idle_target: int = 0,
    short: int = 0,
) -> None:
    reply = [_SERVER + int(now * 1_000_000), held, free, idle_target, short]
    permits.apply_reply(reply, sent=now, received=now, request=request)


def _holding(held: int, *, now: float = 0.0, **reply: int) -> ConcurrencyPermits:
    permits = _permits()
    _reply(permits, permits.next_request(now, [1]), now, held, **reply)
    return permits


def _begin(permits: ConcurrencyPermits, count: int) -> None:
    for _ in range(count):
        permits.acquire()


def test_no_more_requests_begin_than_permits_are_held() -> None:
    permits = _holding(2)
    _begin(permits, 2)
    assert not permits.available(0.1)
    permits.release(0.1, 0.1)
    assert permits.available(0.1)


def test_no_request_begins_once_the_lease_may_have_ended() -> None:
    """A worker that could not renew stops before Redis leases its permits to others."""
    permits = _holding(2)
    assert permits.available(PERMIT_TTL - 0.01)
    assert not permits.available(PERMIT_TTL)
    assert _reported(permits.next_request(PERMIT_TTL, [1]))["idle"] == 0


def test_every_call_reports_the_permits_in_use() -> None:
    """TH9: a Redis that lost its data learns it from the next call."""
    permits = _holding(4, idle_target=1)
    _begin(permits, 3)
    reported = _reported(permits.next_request(0.9, []))
    assert (reported["used"], reported["idle"], reported["urgent"]) == (3, 1, 0)


def test_the_reply_to_an_earlier_call_is_ignored_after_a_later_call() -> None:
    """Redis honours the later call, whichever arrives first."""
    permits = _holding(2, idle_target=1)
    first = permits.next_request(0.1, [1, 1])
    permits.next_request(0.2, [])
    _reply(permits, first, 0.3, 4)
    assert permits.held == 2


def test_the_lease_is_renewed_while_a_long_request_runs() -> None:
    permits = _holding(1)
    _begin(permits, 1)
    due = permits.report_due()
    assert due is not None
    assert 0 < due < PERMIT_TTL / 2
    assert permits.report_pending(due)


def test_all_idle_permits_are_returned_after_half_a_second_without_requests() -> None:
    permits = _holding(3, idle_target=3)
    _begin(permits, 1)
    permits.release(0.01, 0.01)
    moments = [moment / 100 for moment in range(200)]
    returned = next(
        moment
        for moment in moments
        if permits.report_pending(moment) and _reported(permits.next_request(moment, []))["idle"] == 0
    )
    assert 0.5 <= returned <= 1.0
    assert permits.held == 0


def test_scarce_permits_are_idle_for_only_a_fraction_of_a_request() -> None:
    permits = _holding(2)
    _begin(permits, 2)
    assert permits.release(10.0, 0.16)
    assert permits.held == 2
    due = permits.report_due()
    assert due is not None
    assert permits.report_pending(10.0 + 0.03)
    assert _reported(permits.next_request(10.03, []))["idle"] == 0


def test_a_permit_that_others_need_is_returned_at_once() -> None:
    permits = _holding(3, free=0, short=1)
    _begin(permits, 3)
    assert permits.release(0.2, 0.1)
    assert permits.report_pending(0.2)
    assert _reported(permits.next_request(0.2, []))["idle"] == 0


def test_permits_are_leased_before_the_last_is_taken() -> None:
    """A warm request does not call Redis."""
    permits = _holding(4, idle_target=4)
    _begin(permits, 2)
    assert not permits.needs_refill(0.1)
    _begin(permits, 1)
    assert permits.needs_refill(0.1)
    assert _reported(permits.next_request(0.1, []))["extra"] == 3


def test_redis_is_not_called_right_after_a_refusal() -> None:
    """IS10: a flood is refused without Redis."""
    permits = _holding(0, free=0)
    assert permits.exhausted(0.0005)
    assert not permits.exhausted(0.05)


def test_a_worker_that_holds_all_permits_requests_no_more() -> None:
    permits = _holding(10, free=0)
    assert permits.exhausted(PERMIT_TTL / 2)


def test_a_lowered_limit_is_checked_by_redis_before_a_request_can_begin() -> None:
    """TH7."""
    permits = _holding(8)
    _begin(permits, 3)
    before = permits.next_request(0.1, [])
    permits.set_limit(4)
    _reply(permits, before, 0.1, 8)
    assert not permits.available(0.1)
    _reply(permits, permits.next_request(0.1, [1]), 0.1, 0, free=-2)
    assert not permits.available(0.2)
    assert _reported(permits.next_request(0.2, []))["used"] == 3


@pytest.mark.parametrize(("limit", "share"), [(10, 2), (4, 1), (3, 0)])
def test_without_redis_a_worker_enforces_its_share(limit: int, share: int) -> None:
    """TH8: all workers together admit at most the limit, so that a share of a small limit may be 0."""
    assert _permits(limit).allowed(0.0) == share


def test_without_redis_permits_that_others_may_hold_count() -> None:
    """TH8: until their leases end."""
    permits = _holding(1, free=0)
    assert permits.allowed(0.5) == 1
    assert permits.allowed(2 * PERMIT_TTL) == 2


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
def test_no_more_permits_are_used_than_redis_counts(steps: list[tuple[str, float]]) -> None:
    """Redis counts at least the permits in use, for as long as the lease may last."""
    permits, now, counted, until = _permits(), 0.0, 0, 0.0
    for step, value in steps:
        if step == "wait":
            now += value
        elif step == "begin" and permits.available(now):
            permits.acquire()
            assert permits.used <= counted
            assert now < until
        elif step == "end" and permits.used:
            permits.release(now, 0.01)
        elif step in {"call", "lost call"}:
            request = permits.next_request(now, [])
            reported = _reported(request)
            counted = reported["used"] + reported["idle"] + int(value)
            until = now + PERMIT_TTL
            if step == "call":
                _reply(permits, request, now, counted)
