"""Scaling: the CPU time of a warm request, and memory, with many keys, tenants, policy lines, windows and workers.

Every row is a separate server, warmed up with its own keys, on the canned route. It takes turns with its baseline on
the same core. Keys are sent in random order. A worker caches a bounded number of principals, fewer than a million: so a
million keys are in the database, and a working set of them is sent.
"""

import random
from dataclasses import dataclass, field
from statistics import median

from benchmarks.application_server import CANNED_PATH, EXTRA_RESOURCES
from benchmarks.deployment import FIVE_WINDOWS, ONE_WINDOW, PLAN, Deployment, open_deployment
from benchmarks.options import Options, log_progress
from benchmarks.population import ControlTables, add_many_keys, open_control
from benchmarks.report import Bound, Cell, Column, Report, Table, Target
from benchmarks.servers import Server
from benchmarks.workloads import Workload, caveats, closed_loop, cpu, rate, value_range
from gateway.development.load import request_bytes

_LINES_PER_RESOURCE = 13  # four permissions, for each built-in role that has them
_MAX_WITHOUT_PREHEAT = 100  # keys that recur within milliseconds of a round
_WARM_UP_CONNECTIONS, _WARM_UP_TIMEOUT = 64, 120.0  # seconds
_MAX_RATIO, _MAX_MEMORY = 1.15, 250.0


@dataclass(frozen=True, slots=True)
class Amounts:
    """The large amounts."""

    rows: int  # keys in the database
    working_set: int  # keys of them that are sent
    warm: int  # cached keys of the worker whose memory is measured
    cold: int  # keys that are sent once
    tenants: int
    lines: int

    @property
    def resources(self) -> str:
        """The number of additional resources that have this many policy lines."""
        return str(self.lines // _LINES_PER_RESOURCE)


@dataclass(frozen=True, slots=True)
class Growth:
    """A workload with a large amount of something, and its baseline. ``max_ratio`` is the target for the CPU time."""

    work: Workload
    baseline: Workload
    max_ratio: float | None = _MAX_RATIO
    ratios: list[float] = field(default_factory=list)  # of CPU time, round by round

    def run(self, seconds: float) -> None:
        """One round: the two directly after each other, since the machine's speed varies from minute to minute."""
        mine = self.work.run(seconds)
        self.work.samples.append(mine)
        self.ratios.append(cpu(mine) / cpu(self.baseline.run(seconds)) if self.work is not self.baseline else 1.0)

    def row(self) -> list[Cell]:
        """Medians of the rounds."""
        baseline = "" if self.work is self.baseline else self.baseline.name
        memory = self.work.server.memory_megabytes()
        work, figures = self.work, (median(self.ratios), value_range(self.ratios))
        return [work.name, baseline, work.median(cpu), *figures, work.median(rate), memory]

    def target(self) -> Target:
        """For one that has a ``max_ratio``."""
        return Target(
            f"CPU time with {self.work.name} / baseline", Bound.AT_MOST, self.max_ratio or 0.0, median(self.ratios)
        )


@dataclass(frozen=True, slots=True)
class Setup:
    """Creates workloads, each with its own keys, and warms them up."""

    deployment: Deployment
    control: ControlTables

    def workload(self, name: str, server: Server, tenants: int = 10, keys: int = 10, plan: str = PLAN) -> Workload:
        """Keys of these tenants in turn, in random order. Each is sent once now, and again before each round."""
        work = self.cold(name, server, tenants, keys, plan)
        work.preheat = keys if keys > _MAX_WITHOUT_PREHEAT else 0
        log_progress(f"warming up {name}")
        closed_loop(server.url, work.requests, connections=_WARM_UP_CONNECTIONS, seconds=_WARM_UP_TIMEOUT)
        return work

    def cold(self, name: str, server: Server, tenants: int, keys: int, plan: str = PLAN) -> Workload:
        """The same without a warm-up."""
        secrets = self.control.add_keys(self.control.add_tenants(tenants, plan), keys)
        requests = [request_bytes(server.url + CANNED_PATH, {"X-API-Key": secret}) for secret in secrets]
        random.Random(1).shuffle(requests)  # noqa: S311 - reproducible
        return Workload(name, server, requests)

    def canned(self, workers: int = 1, resources: str = "0") -> Server:
        """Another server, with one worker or several."""
        return self.deployment.servers.application("canned", workers, **{EXTRA_RESOURCES: resources})


def measure(options: Options) -> Report:
    """Measure small amounts, then one large amount after another, then all of them."""
    amounts = Amounts(
        rows=options.scale(1_000_000, 10_000),
        working_set=options.scale(10_000, 200),
        warm=options.scale(100_000, 500),
        cold=options.scale(60_000, 5_000),
        tenants=options.scale(5_000, 50),
        lines=options.scale(100_000, 1_000),
    )
    with open_deployment() as deployment, open_control(deployment) as control:
        log_progress(f"adding {amounts.rows:,} keys")
        add_many_keys(deployment, control.add_tenants(1, PLAN)[0], amounts.rows)
        setup = Setup(deployment, control)
        warm = setup.workload(f"{amounts.warm:,} keys in use", setup.canned(), keys=amounts.warm)
        memory = warm.server.memory_megabytes()
        growths = [*_growths(setup, amounts, warm), *_windows(setup)]
        for number in range(1, options.rounds + 1):
            log_progress(f"round {number} of {options.rounds}")
            for each in growths:
                each.run(options.scale(2.0, 0.3))
        table = _table(growths)
    memory_target = Target(
        f"memory of a worker with {amounts.warm:,} warm keys, MB", Bound.AT_MOST, _MAX_MEMORY, memory, ".0f"
    )
    return Report([table], [*(each.target() for each in growths if each.max_ratio is not None), memory_target])


def _growths(setup: Setup, amounts: Amounts, warm: Workload) -> list[Growth]:
    few = setup.workload("10 keys of 10 tenants", setup.canned())
    working_set, lines = amounts.working_set, amounts.resources
    keys = f"{amounts.rows:,} keys, {working_set:,} in use"
    more = [
        setup.workload(keys, setup.canned(), keys=working_set),
        warm,
        setup.workload(f"{amounts.tenants:,} tenants", setup.canned(), amounts.tenants, amounts.tenants),
        setup.workload(f"{amounts.lines:,} policy lines", setup.canned(resources=lines)),
        setup.workload(
            f"{keys}, {amounts.tenants:,} tenants, {amounts.lines:,} lines",
            setup.canned(resources=lines),
            amounts.tenants,
            working_set,
        ),
        setup.workload("4 workers on one core", setup.canned(workers=4)),
    ]
    cold = setup.cold("keys that are sent for the first time", setup.canned(), 10, amounts.cold)
    return [Growth(few, few, None), *(Growth(each, few) for each in more), Growth(cold, few, None)]


def _windows(setup: Setup) -> list[Growth]:
    server = setup.canned()
    one = setup.workload("1 window", server, plan=ONE_WINDOW)
    return [Growth(one, one, None), Growth(setup.workload("5 windows", server, plan=FIVE_WINDOWS), one)]


def _table(growths: list[Growth]) -> Table:
    columns = (
        Column("with"),
        Column("baseline"),
        Column("CPU µs", ".1f"),
        Column("ratio", ".3f"),
        Column("range", ".3f"),
        Column("requests/s", ",.0f"),
        Column("memory MB", ".0f"),
    )
    note = caveats([each.work for each in growths])
    return Table(
        "The CPU time of a warm request, and memory, with large amounts",
        columns,
        [each.row() for each in growths],
        note,
    )
