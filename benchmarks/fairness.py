"""Noisy neighbours: the latency of one tenant's requests during another tenant's flood.

One worker. The measured tenant reads and writes one row in turn, a hundred times a second. The flooding tenant sends,
from separate processes: nothing; reads and writes that block on a table lock; searches that scan its whole table; and
reads of one row in a closed loop. The floods take turns in every round, and each p99 is compared with that without a
flood in the same round.

No plan limit stops the flood: the benchmark shows how connections are shared, and that only a limit or another worker
shares the CPU.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.pool import Pool
from statistics import median

import httpx
import orjson
import psycopg
from psycopg import sql

from benchmarks.deployment import BenchmarkTenant, Deployment, open_deployment
from benchmarks.options import Options, log_progress
from benchmarks.report import Cell, Column, Report, Table
from benchmarks.workloads import PacedLoad, load_processes, repeated_closed_loop, value_range
from gateway.development.load import Result, request_bytes

_CONTACT = {"name": "Ada Lovelace", "email": "ada@example.com", "company": "Analytical Engines", "stage": "lead"}
_RATE = 100  # requests per second of the measured tenant
_FLOOD_CONNECTIONS = 32  # per kind of request
_TABLE_ROWS = 200_000  # scanned by a search
_SETTLE = 2.0  # seconds for statements of disconnected clients to end
_NICE = 10  # the flood yields the core to the measured load


@dataclass(slots=True)
class Flood:
    """The flooding tenant's requests, and the results of each round."""

    name: str
    requests: tuple[bytes, ...]
    locked: bool = False
    statuses: Counter[int] = field(default_factory=Counter)
    measured: list[Result] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Setup:
    """One worker and two tenants."""

    deployment: Deployment
    url: str
    flooding: BenchmarkTenant
    measured: BenchmarkTenant
    requests: tuple[bytes, ...]  # of the measured tenant
    load_pool: Pool

    def run(self, flood: Flood, seconds: float) -> None:
        """One round."""
        with self._locked(flood):
            arguments = [(self.url, [each], _FLOOD_CONNECTIONS, seconds + 1) for each in flood.requests]
            running = [self.load_pool.apply_async(repeated_closed_loop, each) for each in arguments]
            self._measure(0.5)  # until the flood has started
            flood.measured.append(self._measure(seconds))
        for each in running:
            flood.statuses += each.get().statuses
        time.sleep(_SETTLE)

    def _measure(self, seconds: float) -> Result:
        return PacedLoad([self.url], self.requests, _RATE, seconds, connections=2).run()

    @contextmanager
    def _locked(self, flood: Flood) -> Iterator[None]:
        with psycopg.connect(self.deployment.owner_url) as owner:
            if flood.locked:
                table = sql.Identifier(self.flooding.schema, "contacts")
                owner.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
            yield


def measure(options: Options) -> Report:
    """Measure every flood in turn."""
    with open_deployment() as deployment, load_processes(2, _NICE) as load_pool:
        setup = _set_up(deployment, load_pool)
        floods = _floods(setup, options.scale(_TABLE_ROWS, 1_000))
        for number in range(1, options.rounds + 1):
            for flood in floods:
                log_progress(f"round {number} of {options.rounds}, flood: {flood.name}")
                setup.run(flood, options.scale(3.0, 0.5))
    return Report([_table(floods)])


def _set_up(deployment: Deployment, load_pool: Pool) -> Setup:
    url = deployment.servers.gateway().url
    measured = deployment.add_tenant("other")
    return Setup(deployment, url, deployment.tenant, measured, _one_row(url, measured), load_pool)


def _one_row(url: str, tenant: BenchmarkTenant) -> tuple[bytes, bytes]:
    """Requests that read one contact and change it."""
    created = httpx.post(f"{url}/v1/contacts", json=_CONTACT, headers=tenant.headers).raise_for_status().json()
    path = f"{url}/v1/contacts/{created['id']}"
    change = orjson.dumps({"value_cents": 1})
    return request_bytes(path, tenant.headers), request_bytes(path, tenant.headers, "PATCH", change)


def _floods(setup: Setup, rows: int) -> list[Flood]:
    read, write = _one_row(setup.url, setup.flooding)
    _fill(setup, rows)
    search = request_bytes(f"{setup.url}/v1/contacts?q=nowhere", setup.flooding.headers)
    return [
        Flood("none", ()),
        Flood("blocked reads and writes", (read, write), locked=True),
        Flood("searches", (search,)),
        Flood("fast reads", (read,)),
    ]


def _fill(setup: Setup, rows: int) -> None:
    fill = (
        "INSERT INTO {} (id, name, company)"
        " SELECT gen_random_uuid(), 'name ' || n, 'company ' || n FROM generate_series(1, %s) n"
    )
    with psycopg.connect(setup.deployment.owner_url) as owner:
        owner.execute(sql.SQL(fill).format(sql.Identifier(setup.flooding.schema, "contacts")), (rows,))


def _table(floods: list[Flood]) -> Table:
    columns = (
        Column("flood"),
        Column("its responses"),
        Column("measured: errors", ","),
        Column("p50 ms", ".2f"),
        Column("p99 ms", ".2f"),
        Column("p99 / without", ".2f"),
        Column("range", ".2f"),
    )
    baseline = [result.percentile(0.99) for result in floods[0].measured]
    return Table(
        "One tenant's latency during another tenant's flood", columns, [_row(flood, baseline) for flood in floods]
    )


def _row(flood: Flood, baseline: list[float]) -> list[Cell]:
    tails = [result.percentile(0.99) for result in flood.measured]
    ratios = [tail / base for tail, base in zip(tails, baseline, strict=True)]
    statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(flood.statuses.items()))
    errors = sum(each.count - each.statuses[200] + each.unanswered for each in flood.measured)
    p50 = median(result.percentile(0.5) for result in flood.measured)
    return [flood.name, statuses, errors, p50, median(tails), median(ratios), value_range(ratios)]
