"""grant.lua and the accounts of many workers: exact, in virtual time, over a real Redis."""

from collections.abc import Iterator
from dataclasses import replace
from statistics import mean

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.development.redis import LocalRedis
from tests.integration.throttle.fleet import most_in_any_window
from tests.integration.throttle.simulation import Load, Result, Simulation

_FREE = (("burst", 10, 1), ("sustained", 120, 60))
_FLAT_OUT = 0.0


@pytest.fixture
def client(redis_server: LocalRedis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server.url, db=7) as found:
        yield found


def _run(client: redis.Redis, load: Load) -> Result:
    """Every run is also a check of TH1."""
    result = Simulation(client, load).run()
    if load.emptied is None:
        _overshoots_nowhere(result, load)
    return result


def _overshoots_nowhere(result: Result, load: Load) -> None:
    for name, quota, seconds in load.windows:
        assert most_in_any_window(result.admitted, seconds) <= quota, name


_windows = st.lists(
    st.tuples(st.sampled_from([1, 2, 3, 7, 60]), st.integers(1, 400)),
    min_size=1,
    max_size=3,
    unique_by=lambda each: each[0],
)
_rates = st.lists(st.sampled_from([_FLAT_OUT, 1.0, 20.0, 150.0, 700.0]), min_size=1, max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(windows=_windows, rates=_rates, seed=st.integers(0, 2**16), data=st.data())
def test_no_sliding_window_holds_more_than_its_quota(
    client: redis.Redis, windows: list[tuple[int, int]], rates: list[float], seed: int, data: st.DataObject
) -> None:
    """TH1: any windows, number of workers and load, slow calls, and workers that die while they hold tokens."""
    named = [(f"w{seconds}", quota, seconds) for seconds, quota in windows]
    victims = data.draw(st.sets(st.integers(0, len(rates) - 1), max_size=2))
    load = Load(named, rates, 2.5, seed, killed={victim: 0.3 + 0.4 * victim for victim in victims})
    if data.draw(st.booleans()):
        load.trip = lambda rng: rng.choice((0.0005, 0.004, 0.03, 0.2))
    _run(client, load)


def _ideally(arrivals: list[float], quota: int, seconds: int) -> list[float]:
    """What one exact counter would admit of the same arrivals."""
    admitted: list[float] = []
    for moment in arrivals:
        if len(admitted) < quota or admitted[-quota] <= moment - seconds:
            admitted.append(moment)
    return admitted


@pytest.mark.parametrize("offered", [0.9, 1.6, 3.0])
@pytest.mark.parametrize("workers", [1, 4, 8])
@pytest.mark.parametrize("quota", [10, 100, 1000, 3000])
def test_97_percent_of_a_short_window_can_be_used(
    client: redis.Redis, quota: int, workers: int, offered: float
) -> None:
    """TH1: under steady load at least 97 % of what an ideal counter would admit is admitted."""
    seconds = 30.0 if quota == 10 else 6.0  # with few requests, one more or less is a percent
    result = _run(client, Load([("burst", quota, 1)], [offered * quota / workers] * workers, seconds))
    ideal = _ideally(sorted(result.admitted + result.refused), quota, 1)
    assert len(result.admitted) >= 0.97 * len(ideal)


def test_97_percent_of_a_long_window_can_be_used(client: redis.Redis) -> None:
    """TH1: likewise where the longer of two windows is the limit."""
    result = _run(client, Load([("burst", 100, 1), ("sustained", 1200, 60)], [15.0] * 4, 200.0))
    ideal = _ideally(sorted(result.admitted + result.refused), 1200, 60)
    assert len(result.admitted) >= 0.97 * len(ideal)


@pytest.mark.parametrize("rates", [[_FLAT_OUT] * 8, [_FLAT_OUT, 20, 20, 20], [1400, 10, 10, 10]])
def test_skewed_and_unlimited_load_can_use_the_quota(client: redis.Redis, rates: list[float]) -> None:
    """TH1: one worker may get nearly all requests, or all of them more than the quota."""
    result = _run(client, Load([("burst", 1000, 1)], rates, 5.0))
    whole = (len(result.admitted) - 1) // 1000 * 1000
    assert whole / 1000 / (result.admitted[whole] - result.admitted[0]) >= 0.97


@pytest.mark.parametrize(("quota", "workers", "load"), [(2000, 4, 0.7), (2000, 8, 0.9), (2000, 8, 1.5), (5000, 1, 0.9)])
def test_redis_is_called_at_most_once_for_twenty_requests(
    client: redis.Redis, quota: int, workers: int, load: float
) -> None:
    """Above 1,000 requests a second, whether or not the quota suffices."""
    result = _run(client, Load([("burst", quota, 1)], [quota * load / workers] * workers, 3.0))
    assert result.rate(1.0, 3.0) > 1000
    assert result.admitted_per_call(1.0) >= 20


@pytest.mark.parametrize("rates", [[2.0], [2.0, 2.0], [10.0] * 4])
def test_redis_is_not_called_for_each_request_at_a_low_rate(client: redis.Redis, rates: list[float]) -> None:
    """A reserve of tokens lasts for seconds: most of thousands of tenants have a low rate (docs/decisions/0014)."""
    result = _run(client, Load([("burst", 10_000, 1), ("sustained", 300_000, 60)], rates, 60.0))
    assert result.admitted_per_call(10.0) >= 8


def test_reserves_hardly_reduce_what_other_workers_can_use(client: redis.Redis) -> None:
    """TH1: seven workers get a few requests, the eighth all that the plan allows."""
    result = _run(client, Load([("burst", 1000, 1)], [1400.0] + [4.0] * 7, 12.0))
    assert result.rate(4.0, 12.0) >= 0.97 * 1000


def test_nothing_is_refused_below_the_limit(client: redis.Redis) -> None:
    """Tokens that one worker holds must not be missing at another."""
    result = _run(client, Load([("burst", 1000, 1)], [80.0] * 8, 4.0))
    assert len(result.refused) == 0


def test_every_token_of_a_small_quota_can_be_used_on_any_worker(client: redis.Redis) -> None:
    """A plan of ten a second admits ten at once, over four workers, and then none."""
    result = _run(client, Load(_FREE, [_FLAT_OUT] * 4, 0.9))
    assert len(result.admitted) == 10


def test_a_dead_worker_costs_no_more_than_the_tokens_it_held(client: redis.Redis) -> None:
    """TH1: its tokens count until they expire and a window has passed; then the whole quota is available again.

    It may hold many or few when it dies, so the test averages several runs.
    """
    load = Load([("burst", 1000, 1)], [400.0] * 4, 6.0, killed={0: 1.5})
    results = [_run(client, replace(load, seed=seed)) for seed in range(1, 7)]
    assert mean(result.rate(1.5, 3.0) for result in results) >= 0.80 * 1000
    assert mean(result.rate(3.5, 6.0) for result in results) >= 0.97 * 1000


def test_a_clock_set_back_by_an_hour_changes_no_limit(client: redis.Redis) -> None:
    """TH1: Redis's clock is a wall clock, which can be set."""
    result = _run(client, Load([("burst", 100, 1)], [60.0] * 4, 5.0, set_back=(2.0, 3600.0)))
    ideal = _ideally(sorted(result.admitted + result.refused), 100, 1)
    assert len(result.admitted) >= 0.9 * len(ideal)


def test_a_flushed_redis_admits_at_most_one_more_window(client: redis.Redis) -> None:
    """TH9: and at most the quota before and after that moment."""
    load = Load([("burst", 100, 1)], [_FLAT_OUT] * 4, 4.0, emptied=2.4)
    result = Simulation(client, load).run()
    assert most_in_any_window([each for each in result.admitted if each < 2.4], 1) <= 100
    assert most_in_any_window([each for each in result.admitted if each >= 2.46], 1) <= 100
    assert most_in_any_window(result.admitted, 1) <= 200
