"""What one tenant's flood does to another's requests: ``python -m benchmarks.fairness``.

One worker. The other tenant reads and writes one row in turn, a hundred times a second, while the first floods from
processes of its own: with nothing; with reads and writes that hang, since a long transaction has locked its table; with
searches that read its whole table; and with reads of one row, as fast as they are answered. The floods follow each
other in every round, and a p99 is compared with that of the same round beside no flood.

No limit of a plan stands in the flood's way: what is seen is how connections are shared, and that only a limit, or
another worker, shares the processor.
"""

import argparse
import multiprocessing
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx
import orjson
import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table

from benchmarks.load import Result, request_bytes, run_load, run_paced
from benchmarks.stand import Caller, Stand, open_stand

_CONTACT = {"name": "Ada Lovelace", "email": "ada@example.com", "company": "Analytical Engines", "stage": "lead"}
_PACE = 0.01  # seconds between two requests of the other tenant
_LARGE = 200_000  # rows that a search reads
_SETTLE = 3.0  # seconds for statements whose callers have gone
_WIDTH = 110  # characters, also where the output goes to a file


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
    processes: ProcessPoolExecutor

    def run(self, flood: Flood, connections: int, seconds: float) -> None:
        """One round."""
        with self._locked(flood):
            load = partial(run_load, self.url, connections=connections, seconds=seconds + 1)
            running = [self.processes.submit(load, each) for each in flood.requests]
            run_paced(self.url, self.requests, every=_PACE, seconds=0.5)  # until the flood stands
            flood.others.append(run_paced(self.url, self.requests, every=_PACE, seconds=seconds))
        for each in running:
            flood.answered += each.result().statuses
        time.sleep(_SETTLE)

    @contextmanager
    def _locked(self, flood: Flood) -> Iterator[None]:
        with psycopg.connect(self.stand.owner_url) as owner:
            if flood.locked:
                table = sql.Identifier(self.flooding.schema, "contacts")
                owner.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
            yield


def main() -> None:
    """Run the rounds, print what the other tenant saw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each flood in each round")
    parser.add_argument("--connections", type=int, default=32, help="of each kind of request of a flood")
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    with open_stand() as stand, ProcessPoolExecutor(2, mp_context=spawn) as processes:
        rig = _rig(stand, processes)
        floods = _floods(rig)
        for _ in range(options.rounds):
            for flood in floods:
                rig.run(flood, options.connections, options.seconds)
        Console(width=_WIDTH).print(_table(floods))


def _rig(stand: Stand, processes: ProcessPoolExecutor) -> Rig:
    url, _ = stand.serve("gateway.app:create_app")
    other = stand.add_tenant("other")
    return Rig(stand, url, stand.tenant, other, _one_row(url, other), processes)


def _one_row(url: str, tenant: Caller) -> tuple[bytes, bytes]:
    """Reading one contact, and changing it."""
    made = httpx.post(f"{url}/v1/contacts", json=_CONTACT, headers=tenant.headers).raise_for_status().json()
    path = f"{url}/v1/contacts/{made['id']}"
    change = orjson.dumps({"value_cents": 1})
    return request_bytes(path, tenant.headers), request_bytes(path, tenant.headers, "PATCH", change)


def _floods(rig: Rig) -> list[Flood]:
    read, write = _one_row(rig.url, rig.flooding)
    _fill(rig)
    search = request_bytes(f"{rig.url}/v1/contacts?q=nowhere", rig.flooding.headers)
    return [
        Flood("none", ()),
        Flood("hanging reads and writes", (read, write), locked=True),
        Flood("searches", (search,)),
        Flood("fast reads", (read,)),
    ]


def _fill(rig: Rig) -> None:
    fill = (
        "INSERT INTO {} (id, name, company)"
        " SELECT gen_random_uuid(), 'name ' || n, 'company ' || n FROM generate_series(1, %s) n"
    )
    with psycopg.connect(rig.stand.owner_url) as owner:
        owner.execute(sql.SQL(fill).format(sql.Identifier(rig.flooding.schema, "contacts")), (_LARGE,))


def _table(floods: list[Flood]) -> Table:
    head = ("flood", "its answers", "other: errors", "p50 ms", "p99 ms", "p99, of none", "range")
    table = Table(*head, title="one worker, one core")
    calm = [result.percentile(0.99) for result in floods[0].others]
    for flood in floods:
        tails = [result.percentile(0.99) for result in flood.others]
        ratios = [tail / quiet for tail, quiet in zip(tails, calm, strict=True)]
        table.add_row(
            flood.name,
            ", ".join(f"{status}: {count:,}" for status, count in sorted(flood.answered.items())),
            str(sum(each.statuses.total() - each.statuses[200] for each in flood.others)),
            f"{statistics.median(result.percentile(0.5) for result in flood.others):.2f}",
            f"{statistics.median(tails):.2f}",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
        )
    return table


if __name__ == "__main__":
    main()
