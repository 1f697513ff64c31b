"""The cost of a write with its event and the job that numbers it: in the gateway, in PostgreSQL, and with numbering on.

Sixteen connections create contacts of one tenant. With ``--base``, the gateway of another checkout takes turns with
this one on the same database: the figures before a change beside those after it.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx
import orjson
import psycopg

from benchmarks.deployment import Deployment, open_deployment
from benchmarks.options import Options, log_progress
from benchmarks.report import Bound, Cell, Column, Report, Table, Target
from benchmarks.servers import Server, process_cpu_seconds
from benchmarks.workloads import Figure, Workload, cpu, p50, p99, rate
from gateway.development.load import request_bytes
from gateway.development.processes import Child, Launch, children_of

_CONTACT = {"name": "Ada Lovelace", "email": "ada@example.com", "company": "Analytical Engines", "stage": "lead"}
_CONTACTS = "/v1/contacts"
_POST, _BASE, _NUMBERED = "POST one", "POST one, base", "POST one, events numbered"
_MIN_RATE = 0.9  # of the writers' own rate, while their events are numbered
_MAX_CPU = 1.6  # times that of the base
_COLUMNS = (
    Column("workload"),
    Column("requests/s", ",.0f"),
    Column("gateway CPU µs", ".1f"),
    Column("PostgreSQL CPU µs", ".1f"),
    Column("p50 ms", ".2f"),
    Column("p99 ms", ".2f"),
)


class Writes:
    """A workload, and what PostgreSQL's processes use for it."""

    def __init__(self, workload: Workload, postgres_cpu: Callable[[], float]) -> None:
        self.workload = workload
        self._postgres_cpu = postgres_cpu
        self._database: list[float] = []  # microseconds per request, by round

    def run(self, seconds: float) -> None:
        """One round."""
        before = self._postgres_cpu()
        sample = self.workload.run(seconds)
        self.workload.samples.append(sample)
        self._database.append((self._postgres_cpu() - before) / (sample.rate * seconds) * 1e6)

    def median(self, figure: Figure) -> float:
        """Over the rounds."""
        return self.workload.median(figure)

    def row(self) -> list[Cell]:
        """The table's row."""
        return [
            self.workload.name,
            *map(self.median, (rate, cpu)),
            median(self._database),
            *map(self.median, (p50, p99)),
        ]


def measure(options: Options) -> Report:
    """In turns: the base where there is one, this gateway, and this gateway while a worker numbers the events."""
    with open_deployment() as deployment:
        postgres_cpu = _postgres_cpu(deployment)
        servers = _gateways(deployment, options)
        writes = {name: Writes(_create(name, server, deployment), postgres_cpu) for name, server in servers.items()}
        numbered = Writes(_create(_NUMBERED, servers[_POST], deployment), postgres_cpu)
        for each in writes.values():
            each.workload.run(options.scale(1.0, 0.5))
        for number in range(1, options.rounds + 1):
            log_progress(f"round {number} of {options.rounds}")
            for each in writes.values():
                each.run(options.scale(3.0, 0.5))
            with _worker(deployment):
                numbered.run(options.scale(3.0, 0.5))
        rows = [each.row() for each in (*writes.values(), numbered)]
        return Report([Table("A write with its event and its job", _COLUMNS, rows)], list(_targets(writes, numbered)))


def _gateways(deployment: Deployment, options: Options) -> dict[str, Server]:
    base = {} if options.base is None else {_BASE: deployment.servers_of(options.base).gateway()}
    return base | {_POST: deployment.servers.gateway()}


def _targets(writes: dict[str, Writes], numbered: Writes) -> Iterator[Target]:
    own = writes[_POST]
    yield Target(
        "16 writers, events numbered / not", Bound.AT_LEAST, _MIN_RATE, numbered.median(rate) / own.median(rate)
    )
    if _BASE in writes:
        ratio = own.median(cpu) / writes[_BASE].median(cpu)
        yield Target("POST one, gateway CPU / base", Bound.AT_MOST, _MAX_CPU, ratio)


def _create(name: str, server: Server, deployment: Deployment) -> Workload:
    url, headers = server.url + _CONTACTS, deployment.tenant.headers
    httpx.post(url, json=_CONTACT, headers=headers).raise_for_status()
    return Workload(name, server, [request_bytes(url, headers, "POST", orjson.dumps(_CONTACT))], status=201)


def _postgres_cpu(deployment: Deployment) -> Callable[[], float]:
    with psycopg.connect(deployment.superuser_url) as superuser:
        row = superuser.execute("SHOW data_directory").fetchone()
    if row is None:
        raise SystemExit("PostgreSQL does not report its data directory")
    postmaster = int((Path(row[0]) / "postmaster.pid").read_text(encoding="ascii").split()[0])
    return lambda: sum(map(process_cpu_seconds, children_of(postmaster)))


@contextmanager
def _worker(deployment: Deployment) -> Iterator[None]:
    """A job worker that has numbered the backlog, on the core of PostgreSQL and the load."""
    log = deployment.servers.folder / "worker.log"
    command = [sys.executable, "-m", "gateway.cli", "worker"]
    child = Child(Launch(command=command, folder=Path.cwd(), log=log, environment=deployment.environment))
    try:
        _wait_until_numbered(deployment)
        yield
    finally:
        child.stop()


def _wait_until_numbered(deployment: Deployment) -> None:
    query = f"SELECT count(*) FROM {deployment.tenant.schema}.tenantry_events WHERE sequence IS NULL"  # noqa: S608
    with psycopg.connect(deployment.owner_url, autocommit=True) as owner:
        while owner.execute(query.encode()).fetchone() != (0,):
            time.sleep(0.1)
