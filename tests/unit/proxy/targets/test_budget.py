"""The retry budget."""

from gateway.proxy.targets.budget import RetryBudget


def _allowed(budget: RetryBudget, asked: int) -> int:
    return sum(budget.allows_retry() for _ in range(asked))


def test_retries_are_a_share_of_the_requests_of_ten_seconds_and_ten_a_second() -> None:
    """PX10: at the bound and one beyond; an upstream that fails gets 1.2 times its load, not twice."""
    budget = RetryBudget(0.2)
    budget.requests = 1_000
    assert _allowed(budget, 400) == 300
    assert budget.denied == 100
    for _ in range(9):
        budget.tick()
        assert not budget.allows_retry()
    budget.tick()  # what happened ten seconds ago counts no more
    assert _allowed(budget, 200) == 100


def test_without_a_share_ten_a_second_are_left() -> None:
    """So that a service with few requests has retries; they come back as the window moves."""
    budget = RetryBudget(0)
    taken = 0
    for _ in range(30):
        budget.requests += 1_000
        taken += _allowed(budget, 10)
        budget.tick()
    assert taken == 300
    assert _allowed(budget, 11) == 10
