"""What floods of bad keys do to good clients, and to the memory of the worker.

Good clients ask at a pace for what the gate alone answers, and their p99 is compared with that of the same round beside
no flood. Floods come at a fixed rate from a process of its own, which gives way to this one: where both want the core
that they share, the flood waits. Random keys are well-formed, with the right checksum, and nobody's.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import count, repeat
from multiprocessing.pool import Pool
from statistics import median

from benchmarks import canned
from benchmarks.driving import Pace, closed, helpers, paced
from benchmarks.effort import Effort, say
from benchmarks.population import new_secrets, open_control
from benchmarks.report import Bound, Cell, Column, Report, Table, Target
from benchmarks.servers import Server
from benchmarks.stand import PLAN, Stand, open_stand
from benchmarks.works import spread
from gateway.development.load import Result, request_bytes

_GOOD_KEYS, _GOOD_RATE = 100, 500  # of ten tenants; requests a second
_FLOOD_RATE = 1_500  # requests a second
_STANDS, _OUTLASTS = 0.7, 0.2  # seconds from a flood's beginning, and to its end, that are not measured
_NICE = 19
_GOOD_SENDER, _OTHER_SENDER = "10.1.0.1", "10.2.0.1"
_FIRST_OF_MANY = IPv4Address("10.3.0.0")


@dataclass(slots=True)
class Flood:
    """One kind, and what each round showed."""

    name: str
    requests: Callable[[int], Sequence[bytes]] | None  # makes so many of them
    answered: Counter[int] = field(default_factory=Counter)
    good: list[Result] = field(default_factory=list)

    @property
    def tails(self) -> list[float]:
        """p99 of the good clients, in milliseconds."""
        return [each.percentile(0.99) for each in self.good]


def measure(effort: Effort) -> Report:
    """Every kind of flood, in turn."""
    with open_stand() as stand, helpers(1, _NICE) as beside:
        server = stand.servers.ours("canned")
        good, floods = _good(stand, server), _floods(server)
        closed(server.url, good, connections=8, seconds=10)
        memory = [server.memory_megabytes()]
        for number in range(1, effort.rounds + 1):
            for flood in floods:
                say(f"round {number} of {effort.rounds}, flood: {flood.name}")
                _run(server, good, flood, beside, effort.of(4.0, 0.5))
            memory.append(server.memory_megabytes())
    return Report([_table(floods), _memory_table(memory)], _targets(floods, memory))


def _run(server: Server, good: Sequence[bytes], flood: Flood, beside: Pool, seconds: float) -> None:
    whole = _STANDS + seconds + _OUTLASTS
    running = None
    if flood.requests is not None:
        bad = flood.requests(int(whole * _FLOOD_RATE))
        running = beside.apply_async(paced, (Pace([server.url], bad, _FLOOD_RATE, whole),))
    paced(Pace([server.url], good, _GOOD_RATE, _STANDS))
    flood.good.append(paced(Pace([server.url], good, _GOOD_RATE, seconds)))
    if running is not None:
        flood.answered += running.get().statuses


def _good(stand: Stand, server: Server) -> list[bytes]:
    with open_control(stand) as control:
        keys = control.add_keys(control.add_tenants(_GOOD_KEYS // 10, PLAN), _GOOD_KEYS)
    return [_request(server, key, _GOOD_SENDER) for key in keys]


def _floods(server: Server) -> list[Flood]:
    one, other, many = (repeat(_GOOD_SENDER), repeat(_OTHER_SENDER), map(str, map(_FIRST_OF_MANY.__add__, count())))
    return [
        Flood("none", None),
        Flood("random keys, another sender", _random(server, other)),
        Flood("random keys, many senders", _random(server, many)),
        Flood("random keys, the same sender", _random(server, one)),
        Flood("one bad key, another sender", _the_same(server, _OTHER_SENDER)),
        Flood("one bad key, the same sender", _the_same(server, _GOOD_SENDER)),
    ]


def _random(server: Server, senders: Iterator[str]) -> Callable[[int], Sequence[bytes]]:
    return lambda number: [_request(server, *each) for each in zip(new_secrets(number), senders, strict=False)]


def _the_same(server: Server, sender: str) -> Callable[[int], Sequence[bytes]]:
    (bad,) = new_secrets(1)
    return lambda _: [_request(server, bad, sender)]


def _request(server: Server, key: str, sender: str) -> bytes:
    return request_bytes(server.url + canned.PATH, {"X-API-Key": key, "X-Forwarded-For": sender})


def _ratios(flood: Flood, calm: Flood) -> list[float]:
    return [mine / quiet for mine, quiet in zip(flood.tails, calm.tails, strict=True)]


def _table(floods: list[Flood]) -> Table:
    title = f"{_GOOD_RATE} good requests a second beside {_FLOOD_RATE:,} bad ones"
    columns = (
        Column("flood"),
        Column("its answers"),
        Column("good: errors", ","),
        Column("p50 ms", ".2f"),
        Column("p99 ms", ".2f"),
        Column("p99, of none", ".2f"),
        Column("range", ".2f"),
    )
    return Table(title, columns, [_row(flood, floods[0]) for flood in floods])


def _row(flood: Flood, calm: Flood) -> list[Cell]:
    answered = ", ".join(f"{status}: {count:,}" for status, count in sorted(flood.answered.items()))
    errors = sum(each.count - each.statuses[200] + each.unanswered for each in flood.good)
    p50, ratios = median(each.percentile(0.5) for each in flood.good), _ratios(flood, calm)
    return [flood.name, answered, errors, p50, median(flood.tails), median(ratios), spread(ratios)]


def _memory_table(memory: list[float]) -> Table:
    rows: list[list[Cell]] = [
        [f"after round {number}" if number else "before", each] for number, each in enumerate(memory)
    ]
    return Table("Memory of the flooded worker", (Column("when"), Column("MB", ".1f")), rows)


def _targets(floods: list[Flood], memory: list[float]) -> list[Target]:
    calm, *others = floods
    tails = [Target(f"p99 beside {each.name}", Bound.AT_MOST, 1.5, median(_ratios(each, calm))) for each in others]
    later = memory[len(memory) // 2 :]
    return [
        *tails,
        Target("memory that later rounds of floods add, MB", Bound.AT_MOST, 5.0, later[-1] - later[0], ".1f"),
    ]
