"""Kinds of requests that take turns at their servers, round after round."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from statistics import median
from typing import NamedTuple

from benchmarks.driving import closed
from benchmarks.effort import Effort, say
from benchmarks.servers import Server
from gateway.development.load import LoadFailed

CONNECTIONS = 16
_WARM_WITHIN = 30.0  # seconds, before a round
_WARM_UP = 1.0  # seconds: caches filled, connections open, plans prepared
_MOSTLY = 0.99  # of the answers must be what is expected
_FULL = 0.93  # of the server core: below it, something else was waited for


class Round(NamedTuple):
    """What one round showed of one work."""

    rate: float
    cpu: float
    p50: float
    p99: float
    busy: float  # share of the server core that the server used
    odd: int  # answers with another status than is expected


Figure = Callable[[Round], float]


def rate(each: Round) -> float:
    """Answers a second."""
    return each.rate


def cpu(each: Round) -> float:
    """Microseconds of the server's processor time for a request."""
    return each.cpu


def p50(each: Round) -> float:
    """Milliseconds that half of the answers did not exceed."""
    return each.p50


def p99(each: Round) -> float:
    """Milliseconds that 99 of 100 answers did not exceed."""
    return each.p99


@dataclass(eq=False, slots=True)
class Work:
    """One kind of request at one server."""

    name: str
    server: Server
    requests: Sequence[bytes]  # sent in turn
    status: int = 200  # that is expected
    again: int = 0  # requests that are sent before each round and not measured: while others had their turn, it cooled
    rounds: list[Round] = field(default_factory=list)
    _turn: Iterator[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._turn = cycle(self.requests)

    def run(self, seconds: float) -> Round:
        """Drive the server in a closed loop, and look what it cost."""
        if self.again:
            closed(self.server.url, islice(self._turn, self.again), connections=CONNECTIONS, seconds=_WARM_WITHIN)
        before = self.server.cpu_seconds()
        try:
            result = closed(self.server.url, self._turn, connections=CONNECTIONS, seconds=seconds)
        except LoadFailed as error:
            raise SystemExit(f"{self.name}: {error}") from error
        used = self.server.cpu_seconds() - before
        good = result.statuses[self.status]
        if good < _MOSTLY * result.count or not good:
            raise SystemExit(f"{self.name}: expected {self.status}, got {dict(result.statuses)}")
        half, tail = result.percentile(0.5), result.percentile(0.99)
        return Round(result.rate, used / result.count * 1e6, half, tail, used / result.seconds, result.count - good)

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


def caveats(works: Sequence[Work]) -> str:
    """Names works whose figures are not the server's alone, as something else was waited for; and odd answers."""
    waiting = [work.name for work in works if work.median(lambda each: each.busy) < _FULL]
    said = [f"The server core was not full with: {', '.join(waiting)}."] if waiting else []
    odd = ((work, sum(each.odd for each in work.rounds)) for work in works)
    return " ".join(
        [*said, *(f"{count} answers other than {work.status}: {work.name}." for work, count in odd if count)]
    )
