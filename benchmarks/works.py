"""Kinds of requests that take turns at their servers, round after round."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from statistics import median
from typing import NamedTuple

from benchmarks.driving import closed
from benchmarks.effort import Effort, say
from benchmarks.servers import Server

CONNECTIONS = 16
_WARM_UP = 1.0  # seconds: caches filled, connections open, plans prepared
_FULL = 0.93  # of the server core: below it, something else was waited for


class Round(NamedTuple):
    """What one round showed of one work."""

    rate: float  # answers a second
    cpu: float  # microseconds a request
    p50: float  # milliseconds
    p99: float
    busy: float  # share of the server core that the server used


Figure = Callable[[Round], float]


@dataclass(eq=False, slots=True)
class Work:
    """One kind of request at one server."""

    name: str
    server: Server
    requests: Sequence[bytes]  # sent in turn
    status: int = 200  # of every answer
    rounds: list[Round] = field(default_factory=list)
    _turn: Iterator[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._turn = cycle(self.requests)

    def run(self, seconds: float) -> Round:
        """Drive the server in a closed loop, and look what it cost."""
        before = self.server.cpu_seconds()
        result = closed(self.server.url, self._turn, connections=CONNECTIONS, seconds=seconds)
        used = self.server.cpu_seconds() - before
        if set(result.statuses) != {self.status}:
            raise SystemExit(f"{self.name}: expected {self.status} alone, got {dict(result.statuses)}")
        cpu = used / result.count * 1e6
        return Round(result.rate, cpu, result.percentile(0.5), result.percentile(0.99), used / result.seconds)

    def median(self, figure: Figure) -> float:
        """Over the rounds."""
        return median(map(figure, self.rounds))

    def ratios(self, yardstick: "Work", figure: Figure) -> list[float]:
        """Round by round."""
        return [figure(mine) / figure(other) for mine, other in zip(self.rounds, yardstick.rounds, strict=True)]


def run_rounds(works: Sequence[Work], effort: Effort, seconds: float) -> None:
    """Warm all of them, then let them take turns for ``seconds`` each in every round."""
    say(f"warming {len(works)} kinds of requests")
    for work in works:
        work.run(effort.of(_WARM_UP, 0.2))
    for number in range(1, effort.rounds + 1):
        say(f"round {number} of {effort.rounds}")
        for work in works:
            work.rounds.append(work.run(seconds))


def spread(figures: Sequence[float]) -> tuple[float, float]:
    """The range."""
    return min(figures), max(figures)


def not_full(works: Sequence[Work]) -> str:
    """Names those whose figures are not the server's alone, as the database or the load was waited for."""
    names = [work.name for work in works if work.median(lambda each: each.busy) < _FULL]
    return f"The server core was not full with: {', '.join(names)}." if names else ""
