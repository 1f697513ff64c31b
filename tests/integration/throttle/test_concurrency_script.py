"""concurrency.lua and the permits of many workers: exact, in virtual time, over a real Redis."""

import random
from collections.abc import Callable, Iterator

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.development.redis import LocalRedis
from gateway.throttle.concurrency import PERMIT_TTL
from tests.integration.throttle.permit_simulation import PermitLoad, PermitResult, PermitSimulation, ideally

_TENTH = 0.1  # seconds


@pytest.fixture
def client(redis_server: LocalRedis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server.url, db=8) as found:
        yield found


def _about(seconds: float) -> Callable[[random.Random], float]:
    return lambda rng: seconds * rng.choice((0.5, 1.0, 1.5))


def _run(client: redis.Redis, load: PermitLoad) -> PermitResult:
    return PermitSimulation(client, load).run()


_rates = st.lists(st.sampled_from([0.0, 2.0, 40.0, 300.0]), min_size=1, max_size=8)
_trips = st.sampled_from([(0.0005,), (0.0005, 0.004, 0.03, 0.2)])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.integers(1, 40),
    rates=_rates,
    duration=st.sampled_from([0.002, 0.05, 1.0]),
    trips=_trips,
    seed=st.integers(0, 2**16),
    data=st.data(),
)
def test_never_more_than_the_limit_is_in_flight(
    client: redis.Redis,
    *,
    limit: int,
    rates: list[float],
    duration: float,
    trips: tuple[float, ...],
    seed: int,
    data: st.DataObject,
) -> None:
    """TH1's rule for concurrency: any load, slow calls, dead workers, a Redis clock that is set back."""
    victims = data.draw(st.sets(st.integers(0, len(rates) - 1), max_size=2))
    load = PermitLoad(
        limit, rates, _about(duration), 2.5, seed, killed={victim: 0.3 + 0.2 * victim for victim in victims}
    )
    load.trip = lambda rng: rng.choice(trips)
    if data.draw(st.booleans()):
        load.set_by = (1.2, -3600.0)
    assert _run(client, load).most_in_flight() <= limit


def _even(rate: float, workers: int) -> list[float]:
    return [rate / workers] * workers


def _skewed(rate: float, workers: int) -> list[float]:
    return [0.9 * rate, *[0.1 * rate / (workers - 1)] * (workers - 1)]


@pytest.mark.parametrize("spread", [_even, _skewed])
@pytest.mark.parametrize("offered", [0.9, 1.5, 4.0])
@pytest.mark.parametrize(("limit", "workers"), [(2, 8), (10, 4), (10, 8), (60, 8)])
def test_95_percent_of_what_one_process_would_admit_is_admitted(
    client: redis.Redis,
    limit: int,
    workers: int,
    offered: float,
    spread: Callable[[float, int], list[float]],
) -> None:
    """Under steady load near and beyond the limit, also for a limit smaller than the number of workers."""
    rate = offered * limit / _TENTH
    result = _run(client, PermitLoad(limit, spread(rate, workers), _about(_TENTH), max(3.0, 1200 / rate)))
    assert result.most_in_flight() <= limit
    assert len(result.admitted) >= 0.95 * ideally(result.offered, limit)


def test_one_worker_alone_is_a_semaphore(client: redis.Redis) -> None:
    """No other worker wants permits: it keeps those that it needs, and requests them once."""
    result = _run(client, PermitLoad(20, [300.0], _about(_TENTH), 5.0))
    assert len(result.admitted) >= 0.99 * ideally(result.offered, 20)
    assert len(result.admitted) / len(result.calls) >= 20


def test_far_below_the_limit_nothing_is_refused_and_redis_is_rarely_called(client: redis.Redis) -> None:
    """A warm request does not call Redis."""
    result = _run(client, PermitLoad(200, [150.0] * 4, _about(_TENTH), 5.0))
    assert result.refused == []
    assert len(result.admitted) / len(result.calls) >= 20


def test_idle_permits_of_one_worker_become_free_for_another(client: redis.Redis) -> None:
    """A worker that needs all permits has them a second after another worker has stopped needing them."""
    result = _run(client, PermitLoad(8, [400.0, 400.0, 400.0, 0.0], _about(_TENTH), 4.0, quiet={0: 2.0, 1: 2.0}))
    assert result.admitted_in(3.0, 4.0) >= 0.95 * 8 / _TENTH


def test_no_worker_under_equal_load_starves(client: redis.Redis) -> None:
    """A worker under constant load must not keep every permit: a client is bound to its worker by its connection."""
    result = _run(client, PermitLoad(2, [400.0] * 4, _about(_TENTH), 6.0))
    assert min(result.by_worker[worker] for worker in range(4)) >= len(result.admitted) / 4 / 3


def test_permits_of_a_dead_worker_are_free_when_its_lease_ends(client: redis.Redis) -> None:
    """Until then they count as in use."""
    load = PermitLoad(10, [100.0] * 4, _about(_TENTH), 2.0 + PERMIT_TTL + 3.0, killed={0: 2.0})
    result = _run(client, load)
    assert result.most_in_flight() <= 10
    assert result.admitted_in(2.0 + PERMIT_TTL + 1.0, 2.0 + PERMIT_TTL + 3.0) >= 2 * 0.9 * 10 / _TENTH


def test_a_long_request_keeps_its_permit(client: redis.Redis) -> None:
    """It is renewed while the request runs, for much longer than a lease duration."""
    result = _run(client, PermitLoad(4, [20.0] * 4, lambda _: 3.5 * PERMIT_TTL, 3 * PERMIT_TTL))
    assert (len(result.admitted), result.most_in_flight()) == (4, 4)


@pytest.mark.parametrize("fault", ["emptied", "its clock set forward"])
def test_a_redis_that_lost_its_data_learns_what_is_in_use_within_a_second(client: redis.Redis, fault: str) -> None:
    """TH9: at most one more limit is admitted; then nothing begins before enough requests have ended."""
    load = PermitLoad(10, [100.0] * 4, _about(_TENTH), 5.0)
    if fault == "emptied":
        load.emptied = 2.0
    else:
        load.set_by = (2.0, 3600.0)
    result = _run(client, load)
    assert result.most_in_flight(0.0, 2.0) <= 10
    assert result.most_in_flight() <= 20
    assert result.most_in_flight(3.2) <= 10


def test_a_changed_limit_applies_to_the_next_request(client: redis.Redis) -> None:
    """TH7: a higher limit admits more at once; a lower one admits nothing before enough requests have ended."""
    changes = [(1.0, 4), (2.0, 20), (3.0, 1), (4.0, 10)]
    result = _run(client, PermitLoad(10, [150.0] * 4, _about(_TENTH), 5.0, limits=changes))
    for moment, limit in changes:
        began = [began for began, _ in result.admitted if moment <= began < moment + 1.0]
        present = [sum(first <= each < last for first, last in result.admitted) for each in began]
        assert max(present) == limit


def test_calls_to_redis_back_off_in_a_flood_that_is_refused(client: redis.Redis) -> None:
    """IS10: it is refused without Redis."""
    result = _run(client, PermitLoad(4, [1000.0] * 4, lambda _: 100.0, 12.0))
    assert len(result.admitted) == 4
    assert sum(moment >= 9.0 for moment in result.calls) / 3.0 <= 4 * 100
