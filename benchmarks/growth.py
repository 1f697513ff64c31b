"""How the cost of a warm request grows with what there is: keys, tenants, policy lines, windows, workers; and memory.

Every row is a worker of its own, warmed with its own keys, on the canned route. It takes turns with its yardstick on
the one core, and what is compared is the CPU time of a request. Keys are sent in random order, so that no two requests
beside each other are alike. What is warm is bounded, and a million keys are more than a worker remembers: so they are
in the database, and those of a working set are at work.
"""

import random
from dataclasses import dataclass, field
from statistics import median

from benchmarks import canned
from benchmarks.driving import closed
from benchmarks.effort import Effort, say
from benchmarks.population import Control, add_many_keys, open_control
from benchmarks.report import Bound, Cell, Column, Report, Table, Target
from benchmarks.servers import Server
from benchmarks.stand import FIVE_WINDOWS, ONE_WINDOW, PLAN, Stand, open_stand
from benchmarks.works import Work, caveats, cpu, rate, spread
from gateway.development.load import request_bytes

_LINES_OF_A_RESOURCE = 13  # its four permissions, by the built-in roles that hold them
_AT_ONCE = 100  # keys that come again within milliseconds of a round, and need not be sent before it
_WARMING, _WARM_WITHIN = 64, 120.0  # connections, seconds
_MOST, _MOST_MEMORY = 1.15, 250.0


@dataclass(frozen=True, slots=True)
class Amounts:
    """Of what there is much."""

    rows: int  # keys in the database
    working_set: int  # of them, at work
    warm: int  # keys of the worker whose memory is shown
    cold: int  # keys that are sent once
    tenants: int
    lines: int

    @property
    def resources(self) -> str:
        """As many as make so many policy lines, beside the two that there are anyway."""
        return str(self.lines // _LINES_OF_A_RESOURCE)


@dataclass(frozen=True, slots=True)
class Growth:
    """Much of something beside little of it. ``most`` is the target: how many times as much it may cost."""

    work: Work
    yardstick: Work
    most: float | None = _MOST
    ratios: list[float] = field(default_factory=list)  # of CPU time, round by round

    def run(self, seconds: float) -> None:
        """One round: the two beside each other, since a minute later the machine would be another."""
        mine = self.work.run(seconds)
        self.work.rounds.append(mine)
        self.ratios.append(cpu(mine) / cpu(self.yardstick.run(seconds)) if self.work is not self.yardstick else 1.0)

    def row(self) -> list[Cell]:
        """Medians of the rounds."""
        beside = "" if self.work is self.yardstick else self.yardstick.name
        memory = self.work.server.memory_megabytes()
        work, shown = self.work, (median(self.ratios), spread(self.ratios))
        return [work.name, beside, work.median(cpu), *shown, work.median(rate), memory]

    def target(self) -> Target:
        """For one that has ``most``."""
        return Target(f"cost with {self.work.name}", Bound.AT_MOST, self.most or 0.0, median(self.ratios))


@dataclass(frozen=True, slots=True)
class Rig:
    """Makes works, each with keys of its own, and warms them."""

    stand: Stand
    control: Control

    def work(self, name: str, server: Server, tenants: int = 10, keys: int = 10, plan: str = PLAN) -> Work:
        """Keys of these tenants in turn, sent in random order; each has been sent once, and is before each round."""
        work = self.cold(name, server, tenants, keys, plan)
        work.again = keys if keys > _AT_ONCE else 0
        say(f"warming {name}")
        closed(server.url, work.requests, connections=_WARMING, seconds=_WARM_WITHIN)
        return work

    def cold(self, name: str, server: Server, tenants: int, keys: int, plan: str = PLAN) -> Work:
        """The same, none of them sent yet."""
        secrets = self.control.add_keys(self.control.add_tenants(tenants, plan), keys)
        requests = [request_bytes(server.url + canned.PATH, {"X-API-Key": secret}) for secret in secrets]
        random.Random(1).shuffle(requests)  # noqa: S311 - repeatable on purpose
        return Work(name, server, requests)

    def canned(self, workers: int = 1, resources: str = "0") -> Server:
        """Another worker, or several that share a socket."""
        return self.stand.servers.ours("canned", workers, **{canned.MORE_RESOURCES: resources})


def measure(effort: Effort) -> Report:
    """Few of everything, then many of one thing after another, then many of everything."""
    amounts = Amounts(
        rows=effort.of(1_000_000, 10_000),
        working_set=effort.of(10_000, 200),
        warm=effort.of(100_000, 500),
        cold=effort.of(60_000, 5_000),
        tenants=effort.of(5_000, 50),
        lines=effort.of(100_000, 1_000),
    )
    with open_stand() as stand, open_control(stand) as control:
        say(f"adding {amounts.rows:,} keys")
        add_many_keys(stand, control.add_tenants(1, PLAN)[0], amounts.rows)
        rig = Rig(stand, control)
        warm = rig.work(f"{amounts.warm:,} keys at work", rig.canned(), keys=amounts.warm)
        memory = warm.server.memory_megabytes()
        growths = [*_growths(rig, amounts, warm), *_windows(rig)]
        for number in range(1, effort.rounds + 1):
            say(f"round {number} of {effort.rounds}")
            for each in growths:
                each.run(effort.of(2.0, 0.3))
        table = _table(growths)
    most = Target(f"memory of a worker with {amounts.warm:,} warm keys, MB", Bound.AT_MOST, _MOST_MEMORY, memory, ".0f")
    return Report([table], [*(each.target() for each in growths if each.most is not None), most])


def _growths(rig: Rig, amounts: Amounts, warm: Work) -> list[Growth]:
    few = rig.work("10 keys of 10 tenants", rig.canned())
    working_set, lines = amounts.working_set, amounts.resources
    keys = f"{amounts.rows:,} keys, {working_set:,} at work"
    more = [
        rig.work(keys, rig.canned(), keys=working_set),
        warm,
        rig.work(f"{amounts.tenants:,} tenants", rig.canned(), amounts.tenants, amounts.tenants),
        rig.work(f"{amounts.lines:,} policy lines", rig.canned(resources=lines)),
        rig.work(
            f"{keys}, {amounts.tenants:,} tenants, {amounts.lines:,} lines",
            rig.canned(resources=lines),
            amounts.tenants,
            working_set,
        ),
        rig.work("4 workers on the one core", rig.canned(workers=4)),
    ]
    cold = rig.cold("keys that were never sent before", rig.canned(), 10, amounts.cold)
    return [Growth(few, few, None), *(Growth(each, few) for each in more), Growth(cold, few, None)]


def _windows(rig: Rig) -> list[Growth]:
    server = rig.canned()
    one = rig.work("1 window", server, plan=ONE_WINDOW)
    return [Growth(one, one, None), Growth(rig.work("5 windows", server, plan=FIVE_WINDOWS), one)]


def _table(growths: list[Growth]) -> Table:
    columns = (
        Column("with"),
        Column("against"),
        Column("CPU µs", ".1f"),
        Column("ratio", ".3f"),
        Column("range", ".3f"),
        Column("requests/s", ",.0f"),
        Column("memory MB", ".0f"),
    )
    note = caveats([each.work for each in growths])
    return Table("How the cost of a warm request grows", columns, [each.row() for each in growths], note)
