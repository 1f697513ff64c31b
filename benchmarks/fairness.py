"""What one tenant's flood does to another's requests.

One worker. The other tenant reads and writes one row in turn, a hundred times a second, while the first floods from
processes of its own: with nothing; with reads and writes that hang, since a long transaction has locked its table; with
searches that read its whole table; and with reads of one row, as fast as they are answered. The floods follow each
other in every round, and a p99 is compared with that of the same round beside no flood.

No limit of a plan stands in the flood's way: what is seen is how connections are shared, and that only a limit, or
another worker, shares the processor.
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

from benchmarks.driving import Pace, closed_again, helpers, paced
from benchmarks.effort import Effort, say
from benchmarks.report import Cell, Column, Report, Table
from benchmarks.stand import Caller, Stand, open_stand
from benchmarks.works import spread
from gateway.development.load import Result, request_bytes

_CONTACT = {"name": "Ada Lovelace", "email": "ada@example.com", "company": "Analytical Engines", "stage": "lead"}
_RATE = 100  # requests a second of the other tenant
_FLOODING = 32  # connections of each kind of request of a flood
_LARGE = 200_000  # rows that a search reads
_SETTLE = 2.0  # seconds for statements whose callers have gone
_NICE = 10  # floods give way to what is measured


@dataclass(slots=True)
class Flood:
    """What the first tenant does, and what each round showed."""

    name: str
    requests: tuple[bytes, ...]
    locked: bool = False
    answered: Counter[int] = field(default_factory=Counter)
    others: list[Result] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rig:
    """One worker, and two tenants of it."""

    stand: Stand
    url: str
    flooding: Caller
    other: Caller
    requests: tuple[bytes, ...]  # of the other tenant
    beside: Pool

    def run(self, flood: Flood, seconds: float) -> None:
        """One round."""
        with self._locked(flood):
            given = [(self.url, [each], _FLOODING, seconds + 1) for each in flood.requests]
            running = [self.beside.apply_async(closed_again, each) for each in given]
            self._use(0.5)  # until the flood stands
            flood.others.append(self._use(seconds))
        for each in running:
            flood.answered += each.get().statuses
        time.sleep(_SETTLE)

    def _use(self, seconds: float) -> Result:
        return paced(Pace([self.url], self.requests, _RATE, seconds, connections=2))

    @contextmanager
    def _locked(self, flood: Flood) -> Iterator[None]:
        with psycopg.connect(self.stand.owner_url) as owner:
            if flood.locked:
                table = sql.Identifier(self.flooding.schema, "contacts")
                owner.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
            yield


def measure(effort: Effort) -> Report:
    """What the other tenant saw."""
    with open_stand() as stand, helpers(2, _NICE) as beside:
        rig = _rig(stand, beside)
        floods = _floods(rig, effort.of(_LARGE, 1_000))
        for number in range(1, effort.rounds + 1):
            for flood in floods:
                say(f"round {number} of {effort.rounds}, flood: {flood.name}")
                rig.run(flood, effort.of(3.0, 0.5))
    return Report([_table(floods)])


def _rig(stand: Stand, beside: Pool) -> Rig:
    url = stand.servers.gateway().url
    other = stand.add_tenant("other")
    return Rig(stand, url, stand.tenant, other, _one_row(url, other), beside)


def _one_row(url: str, tenant: Caller) -> tuple[bytes, bytes]:
    """Reading one contact, and changing it."""
    made = httpx.post(f"{url}/v1/contacts", json=_CONTACT, headers=tenant.headers).raise_for_status().json()
    path = f"{url}/v1/contacts/{made['id']}"
    change = orjson.dumps({"value_cents": 1})
    return request_bytes(path, tenant.headers), request_bytes(path, tenant.headers, "PATCH", change)


def _floods(rig: Rig, rows: int) -> list[Flood]:
    read, write = _one_row(rig.url, rig.flooding)
    _fill(rig, rows)
    search = request_bytes(f"{rig.url}/v1/contacts?q=nowhere", rig.flooding.headers)
    return [
        Flood("none", ()),
        Flood("hanging reads and writes", (read, write), locked=True),
        Flood("searches", (search,)),
        Flood("fast reads", (read,)),
    ]


def _fill(rig: Rig, rows: int) -> None:
    fill = (
        "INSERT INTO {} (id, name, company)"
        " SELECT gen_random_uuid(), 'name ' || n, 'company ' || n FROM generate_series(1, %s) n"
    )
    with psycopg.connect(rig.stand.owner_url) as owner:
        owner.execute(sql.SQL(fill).format(sql.Identifier(rig.flooding.schema, "contacts")), (rows,))


def _table(floods: list[Flood]) -> Table:
    columns = (
        Column("flood"),
        Column("its answers"),
        Column("other: errors", ","),
        Column("p50 ms", ".2f"),
        Column("p99 ms", ".2f"),
        Column("p99, of none", ".2f"),
        Column("range", ".2f"),
    )
    calm = [result.percentile(0.99) for result in floods[0].others]
    return Table("One tenant's requests beside another's flood", columns, [_row(flood, calm) for flood in floods])


def _row(flood: Flood, calm: list[float]) -> list[Cell]:
    tails = [result.percentile(0.99) for result in flood.others]
    ratios = [tail / quiet for tail, quiet in zip(tails, calm, strict=True)]
    answered = ", ".join(f"{status}: {count:,}" for status, count in sorted(flood.answered.items()))
    errors = sum(each.count - each.statuses[200] + each.unanswered for each in flood.others)
    p50 = median(result.percentile(0.5) for result in flood.others)
    return [flood.name, answered, errors, p50, median(tails), median(ratios), spread(ratios)]
