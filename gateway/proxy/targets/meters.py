"""What a worker counts about an upstream. A request costs a few additions; samples are made once a second."""

from bisect import bisect_left

from gateway.proxy.targets.budget import RetryBudget
from gateway.proxy.targets.outcomes import Outcome
from tenants.routes.schemas import MOST_ROUTES

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
OTHER_ROUTES = "_other"  # no route can have this name


class RouteMeter:
    """The attempts of one route at one upstream."""

    __slots__ = ("buckets", "outcomes", "seconds")

    def __init__(self) -> None:
        self.outcomes = [0] * len(Outcome)
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def count(self, outcome: Outcome, seconds: float) -> None:
        """An attempt has ended."""
        self.outcomes[outcome] += 1
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


class UpstreamMeter:
    """The counters of one upstream. They outlive versions of the configuration."""

    def __init__(self, retry_share: float) -> None:
        self.by_route: dict[str, RouteMeter] = {}
        self.budget = RetryBudget(retry_share)
        self.ejections = 0
        self.without_target = 0  # requests refused since no target was left
        self.checks_passed = 0
        self.checks_failed = 0

    def route(self, name: str) -> RouteMeter:
        """The counters of that route. After thousands of names in one process the others are counted together."""
        if name not in self.by_route and len(self.by_route) >= 2 * MOST_ROUTES:
            name = OTHER_ROUTES
        return self.by_route.setdefault(name, RouteMeter())

    def total(self) -> int:
        """A number that grows whenever something is counted."""
        attempts = sum(sum(each.outcomes) for each in self.by_route.values())
        checks = self.checks_passed + self.checks_failed
        return attempts + checks + self.ejections + self.without_target + self.budget.retries + self.budget.denied
