"""Weighted choice of the less busy of two random targets."""

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

from gateway.proxy.targets.target import Target


class Choice:
    """Two different targets are drawn by weight; the second is chosen if it would be no busier than the first is now.

    "Busy" is requests in flight divided by weight. An idle upstream is therefore shared exactly by weight, and a busy
    one so that requests in flight follow the weights; a slow target gets less. With equal weights it is the well-known
    choice of two (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001). Comparing requests in
    flight by weight alone would give a heavy target next to nothing more than a light one while few are in flight.
    """

    __slots__ = ("_random", "_sums", "targets", "weights")

    def __init__(
        self, targets: Sequence[Target], weights: Sequence[float], rand: Callable[[], float] = random.random
    ) -> None:
        self.targets = targets
        self.weights = weights
        self._sums = tuple(accumulate(weights))
        self._random = rand

    def __call__(self) -> Target:
        """One of at least one target."""
        targets, weights, sums = self.targets, self.weights, self._sums
        if len(targets) == 1:
            return targets[0]
        draw, total = self._random, sums[-1]
        first = _at(sums, draw() * total)
        weight = weights[first]
        other = draw() * (total - weight)
        if other >= sums[first] - weight:  # skip the first
            other += weight
        second = _at(sums, other)
        one, two = targets[first], targets[second]
        if one.outstanding * weights[second] >= (two.outstanding + 1) * weight:
            return two
        return one


def _at(sums: Sequence[float], drawn: float) -> int:
    """The index that the number falls to. Rounding can make it equal to the sum of all."""
    return min(bisect_right(sums, drawn), len(sums) - 1)
