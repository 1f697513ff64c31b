"""Floods of invalid keys and of wrong passwords: the latency of valid clients and the memory of the worker.

Valid clients send canned requests at a fixed rate, and their p99 is compared with that without a flood in the same
round. Floods have a fixed rate and come from a separate process with a lower priority on the shared core. Random keys
are well-formed, with a correct checksum, and unknown. Sign-ins are for ever new addresses of one tenant.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import count, islice, repeat
from multiprocessing.pool import Pool
from statistics import median

import orjson

from benchmarks.application_server import CANNED_PATH
from benchmarks.deployment import PLAN, Deployment, open_deployment
from benchmarks.options import Options, log_progress
from benchmarks.population import new_secrets, open_control
from benchmarks.report import Bound, Cell, Column, Report, Table, Target
from benchmarks.servers import Server
from benchmarks.workloads import PacedLoad, closed_loop, load_processes, value_range
from gateway.development.load import Result, request_bytes

_VALID_KEYS, _VALID_RATE = 100, 500  # of ten tenants; requests per second
_FLOOD_RATE = 1_500  # requests per second
_LEAD_IN, _LEAD_OUT = 0.7, 0.2  # seconds at the start and the end of a flood that are not measured
_NICE = 19
_VALID_SOURCE, _OTHER_SOURCE = "10.1.0.1", "10.2.0.1"
_FIRST_SOURCE = IPv4Address("10.3.0.0")


@dataclass(slots=True)
class Flood:
    """One kind of flood, and the results of each round."""

    name: str
    requests: Callable[[int], Sequence[bytes]] | None  # makes a number of requests
    has_target: bool = True
    statuses: Counter[int] = field(default_factory=Counter)
    valid: list[Result] = field(default_factory=list)

    @property
    def tails(self) -> list[float]:
        """p99 of the valid clients, in milliseconds."""
        return [each.percentile(0.99) for each in self.valid]


def measure(options: Options) -> Report:
    """Measure every flood in turn."""
    with open_deployment() as deployment, load_processes(1, _NICE) as load_pool:
        server = deployment.servers.application("canned")
        valid, floods = _valid_requests(deployment, server), _floods(server)
        closed_loop(server.url, valid, connections=8, seconds=10)
        memory = [server.memory_megabytes()]
        for number in range(1, options.rounds + 1):
            for flood in floods:
                log_progress(f"round {number} of {options.rounds}, flood: {flood.name}")
                _run(server, valid, flood, load_pool, options.scale(4.0, 0.5))
            memory.append(server.memory_megabytes())
    return Report([_table(floods), _memory_table(memory)], _targets(floods, memory))


def _run(server: Server, valid: Sequence[bytes], flood: Flood, load_pool: Pool, seconds: float) -> None:
    total = _LEAD_IN + seconds + _LEAD_OUT
    running = None
    if flood.requests is not None:
        invalid = flood.requests(int(total * _FLOOD_RATE))
        running = load_pool.apply_async(PacedLoad([server.url], invalid, _FLOOD_RATE, total).run)
    PacedLoad([server.url], valid, _VALID_RATE, _LEAD_IN).run()
    flood.valid.append(PacedLoad([server.url], valid, _VALID_RATE, seconds).run())
    if running is not None:
        flood.statuses += running.get().statuses


def _valid_requests(deployment: Deployment, server: Server) -> list[bytes]:
    with open_control(deployment) as control:
        keys = control.add_keys(control.add_tenants(_VALID_KEYS // 10, PLAN), _VALID_KEYS)
    return [_request(server, key, _VALID_SOURCE) for key in keys]


def _floods(server: Server) -> list[Flood]:
    one, other, many = (repeat(_VALID_SOURCE), repeat(_OTHER_SOURCE), map(str, map(_FIRST_SOURCE.__add__, count())))
    return [
        Flood("none", None),
        Flood("random keys, another source", _random(server, other)),
        Flood("random keys, many sources", _random(server, many)),
        Flood("random keys, the same source", _random(server, one)),
        Flood("one invalid key, another source", _the_same(server, _OTHER_SOURCE)),
        Flood("one invalid key, the same source", _the_same(server, _VALID_SOURCE)),
        Flood("sign-ins, many sources", _sign_ins(server, many), has_target=False),
        Flood("sign-ins, the same source", _sign_ins(server, one), has_target=False),
    ]


def _random(server: Server, sources: Iterator[str]) -> Callable[[int], Sequence[bytes]]:
    return lambda number: [_request(server, *each) for each in zip(new_secrets(number), sources, strict=False)]


def _the_same(server: Server, source: str) -> Callable[[int], Sequence[bytes]]:
    (invalid,) = new_secrets(1)
    return lambda _: [_request(server, invalid, source)]


def _sign_ins(server: Server, sources: Iterator[str]) -> Callable[[int], Sequence[bytes]]:
    numbers = count()
    return lambda number: [_sign_in(server, *each) for each in zip(islice(numbers, number), sources, strict=False)]


def _sign_in(server: Server, number: int, source: str) -> bytes:
    body = {"email": f"person{number}@flood.example", "password": "a wrong passphrase of mine", "tenant": "flooded"}
    return request_bytes(f"{server.url}/v1/auth/login", {"X-Forwarded-For": source}, "POST", orjson.dumps(body))


def _request(server: Server, key: str, source: str) -> bytes:
    return request_bytes(server.url + CANNED_PATH, {"X-API-Key": key, "X-Forwarded-For": source})


def _ratios(flood: Flood, baseline: Flood) -> list[float]:
    return [mine / base for mine, base in zip(flood.tails, baseline.tails, strict=True)]


def _table(floods: list[Flood]) -> Table:
    title = f"{_VALID_RATE} valid requests per second during {_FLOOD_RATE:,} invalid ones"
    columns = (
        Column("flood"),
        Column("its responses"),
        Column("valid: errors", ","),
        Column("p50 ms", ".2f"),
        Column("p99 ms", ".2f"),
        Column("p99 / without", ".2f"),
        Column("range", ".2f"),
    )
    return Table(title, columns, [_row(flood, floods[0]) for flood in floods])


def _row(flood: Flood, baseline: Flood) -> list[Cell]:
    statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(flood.statuses.items()))
    errors = sum(each.count - each.statuses[200] + each.unanswered for each in flood.valid)
    p50, ratios = median(each.percentile(0.5) for each in flood.valid), _ratios(flood, baseline)
    return [flood.name, statuses, errors, p50, median(flood.tails), median(ratios), value_range(ratios)]


def _memory_table(memory: list[float]) -> Table:
    rows: list[list[Cell]] = [
        [f"after round {number}" if number else "before", each] for number, each in enumerate(memory)
    ]
    return Table("Memory of the flooded worker", (Column("when"), Column("MB", ".1f")), rows)


def _targets(floods: list[Flood], memory: list[float]) -> list[Target]:
    baseline, *others = floods
    tails = [
        Target(f"p99 during {each.name} / without", Bound.AT_MOST, 1.5, median(_ratios(each, baseline)))
        for each in others
        if each.has_target
    ]
    later = memory[len(memory) // 2 :]
    return [
        *tails,
        Target("memory growth in the later rounds, MB", Bound.AT_MOST, 5.0, later[-1] - later[0], ".1f"),
    ]
