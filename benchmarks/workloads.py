"""Load generation, and workloads that take turns at their servers, round after round."""

import asyncio
import math
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from multiprocessing.pool import Pool
from statistics import median
from typing import NamedTuple

import uvloop

from benchmarks.options import Options, log_progress
from benchmarks.servers import Server
from gateway.development.load import LoadFailed, Result, run_load, run_paced

CONNECTIONS = 16
_PREHEAT_TIMEOUT = 30.0  # seconds, before a round
_WARM_UP = 1.0  # seconds: caches filled, connections open, plans prepared
_MIN_EXPECTED = 0.99  # share of responses that must have the expected status
_SATURATED = 0.93  # share of the server core; below it, the server was not the bottleneck


@dataclass(frozen=True, slots=True)
class PacedLoad:
    """Requests at a fixed rate."""

    urls: Sequence[str]
    requests: Sequence[bytes]  # sent in turn, repeatedly
    rate: float  # requests per second
    seconds: float = math.inf
    connections: int = 16  # per URL

    def run(self) -> Result:
        """Send the load from this process."""
        with _runner() as runner:
            return runner.run(
                run_paced(
                    self.urls, cycle(self.requests), rate=self.rate, connections=self.connections, seconds=self.seconds
                )
            )


def closed_loop(url: str, requests: Iterable[bytes], *, connections: int, seconds: float) -> Result:
    """Send each connection's next request when its last response has arrived."""
    with _runner() as runner:
        return runner.run(run_load(url, requests, connections=connections, seconds=seconds))


def repeated_closed_loop(url: str, requests: Sequence[bytes], connections: int, seconds: float) -> Result:
    """``closed_loop`` with picklable arguments, for load processes; the requests are repeated."""
    return closed_loop(url, cycle(requests), connections=connections, seconds=seconds)


def load_processes(count: int, nice: int = 0) -> Pool:
    """Processes that send load beside this one, on the same core. They end with the ``with`` block.

    Those with a positive ``nice`` yield the core to this process, so that they do not distort what it measures.
    """
    return multiprocessing.get_context("spawn").Pool(count, initializer=os.nice, initargs=(nice,))


def _runner() -> asyncio.Runner:
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


class Sample(NamedTuple):
    """The figures of one workload in one round."""

    rate: float
    cpu: float
    p50: float
    p99: float
    utilization: float  # of the server core
    unexpected: int  # responses with another status than expected


Figure = Callable[[Sample], float]


def rate(sample: Sample) -> float:
    """Responses per second."""
    return sample.rate


def cpu(sample: Sample) -> float:
    """Microseconds of the server's CPU time per request."""
    return sample.cpu


def p50(sample: Sample) -> float:
    """Median latency in milliseconds."""
    return sample.p50


def p99(sample: Sample) -> float:
    """99th percentile of the latency in milliseconds."""
    return sample.p99


@dataclass(eq=False, slots=True)
class Workload:
    """One kind of request at one server."""

    name: str
    server: Server
    requests: Sequence[bytes]  # sent in turn, repeatedly
    status: int = 200  # expected
    connections: int = CONNECTIONS
    preheat: int = 0  # unmeasured requests before each round, for caches that cooled while others ran
    samples: list[Sample] = field(default_factory=list)
    _next: Iterator[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._next = cycle(self.requests)

    def run(self, seconds: float) -> Sample:
        """Load the server in a closed loop and measure it."""
        if self.preheat:
            requests = islice(self._next, self.preheat)
            closed_loop(self.server.url, requests, connections=self.connections, seconds=_PREHEAT_TIMEOUT)
        before = self.server.cpu_seconds()
        try:
            result = closed_loop(self.server.url, self._next, connections=self.connections, seconds=seconds)
        except LoadFailed as error:
            raise SystemExit(f"{self.name}: {error}") from error
        used = self.server.cpu_seconds() - before
        expected = result.statuses[self.status]
        if expected < _MIN_EXPECTED * result.count or not expected:
            raise SystemExit(f"{self.name}: expected {self.status}, got {dict(result.statuses)}")
        latencies = result.percentile(0.5), result.percentile(0.99)
        return Sample(
            result.rate, used / result.count * 1e6, *latencies, used / result.seconds, result.count - expected
        )

    def median(self, figure: Figure) -> float:
        """Over the rounds."""
        return median(map(figure, self.samples))

    def ratios(self, baseline: "Workload", figure: Figure) -> list[float]:
        """Round by round."""
        return [figure(mine) / figure(other) for mine, other in zip(self.samples, baseline.samples, strict=True)]


def run_rounds(workloads: Sequence[Workload], options: Options, seconds: float) -> None:
    """Warm up all workloads, then run each for ``seconds`` in every round."""
    log_progress(f"warming up {len(workloads)} workloads")
    for workload in workloads:
        workload.run(options.scale(_WARM_UP, 0.5))
    for number in range(1, options.rounds + 1):
        log_progress(f"round {number} of {options.rounds}")
        for workload in workloads:
            workload.samples.append(workload.run(seconds))


def value_range(figures: Sequence[float]) -> tuple[float, float]:
    """The smallest and the largest."""
    return min(figures), max(figures)


def caveats(workloads: Sequence[Workload]) -> str:
    """A note on workloads that did not saturate the server core, and on unexpected responses."""
    idle = [each.name for each in workloads if each.median(lambda sample: sample.utilization) < _SATURATED]
    notes = [f"The server core was not saturated by: {', '.join(dict.fromkeys(idle))}."] if idle else []
    unexpected = ((each, sum(sample.unexpected for sample in each.samples)) for each in workloads)
    notes += [f"{count} responses other than {each.status}: {each.name}." for each, count in unexpected if count]
    return " ".join(notes)
