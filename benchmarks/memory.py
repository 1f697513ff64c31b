"""A worker's memory and its longest collection of garbage after 10,000, 100,000 and a million requests of all kinds.

One worker, sixteen connections; ``benchmarks/mixture.py`` has the requests. With ``--base`` the same is measured with
another checkout. LD4: what 100,000 and 1,000,000 requests leave is within 20 % of what 10,000 left.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import httpx
import orjson

from benchmarks.deployment import Deployment, open_deployment
from benchmarks.mixture import Mixture, rude
from benchmarks.options import Options, log_progress
from benchmarks.report import Bound, Cell, Column, Report, Table, Target
from benchmarks.servers import Server
from benchmarks.workloads import CONNECTIONS, closed_loop
from gateway.development.load import request_bytes

_STEPS = (10_000, 30_000, 100_000, 300_000, 600_000, 1_000_000)
_QUICK = (1_000, 5_000)
_CHUNK = 2_000  # requests, after which some clients are rude
_RUDE = 5
_MAX_SECONDS = 600.0  # of one chunk
_MAX_GROWTH = 1.2
_MAX_COLLECTION = 0.02  # seconds
_LONGEST = re.compile(r'^tenantry_garbage_longest_seconds\{generation="2"\S* (\S+)$', re.MULTILINE)
_CONTACT = {"name": "Ada Lovelace", "email": "ada@example.com", "company": "Analytical Engines", "stage": "lead"}


@dataclass(slots=True)
class Step:
    """What the worker holds after so many requests in all."""

    requests: int
    megabytes: float
    longest: float | None  # seconds; None for a checkout that does not tell
    p99: float  # milliseconds, of this step's requests
    statuses: Counter[int] = field(default_factory=Counter)


def measure(options: Options) -> Report:
    """Step by step, for each checkout."""
    amounts = _QUICK if options.quick else _STEPS
    with open_deployment() as deployment:
        checkouts = {"": deployment.servers}
        if options.base:
            checkouts = {", base": deployment.servers_of(options.base)} | checkouts
        steps = {name: list(_run(deployment, each.gateway(), amounts, name)) for name, each in checkouts.items()}
    return Report([_table(steps)], _targets(steps[""]))


def _run(deployment: Deployment, server: Server, amounts: tuple[int, ...], name: str) -> Iterator[Step]:
    mixture = Mixture.of(deployment, server.url, _add_contacts(deployment, server))
    requests, done = mixture.requests(), 0
    for amount in amounts:
        step = Step(amount, 0.0, None, 0.0)
        while done < amount:
            count = min(_CHUNK, amount - done)
            result = closed_loop(server.url, islice(requests, count), connections=CONNECTIONS, seconds=_MAX_SECONDS)
            asyncio.run(rude(server.url, list(islice(requests, _RUDE))))
            done, step.p99 = done + count, max(step.p99, result.percentile(0.99))
            step.statuses += result.statuses
        step.megabytes, step.longest = server.memory_megabytes(), _longest_collection(server)
        log_progress(f"{done:,} requests{name}: {step.megabytes:.0f} MB, {dict(sorted(step.statuses.items()))}")
        yield step


def _add_contacts(deployment: Deployment, server: Server) -> str:
    """Enough for a list of 50; the id of one."""
    request = request_bytes(f"{server.url}/v1/contacts", deployment.tenant.headers, "POST", orjson.dumps(_CONTACT))
    closed_loop(server.url, [request] * 50, connections=1, seconds=_MAX_SECONDS)
    response = httpx.get(f"{server.url}/v1/contacts?limit=1", headers=deployment.tenant.headers).raise_for_status()
    return str(response.json()["data"][0]["id"])


def _longest_collection(server: Server) -> float | None:
    found = _LONGEST.search(httpx.get(f"{server.url}/metrics").raise_for_status().text)
    return float(found[1]) if found else None


def _table(steps: dict[str, list[Step]]) -> Table:
    columns = (
        Column("after requests"),
        Column("memory MB", ".1f"),
        Column("/ first", ".2f"),
        Column("longest full collection ms", ".1f"),
        Column("p99 ms, worst of 2,000", ".1f"),
    )
    rows = [_row(f"{each.requests:,}{name}", each, found[0]) for name, found in steps.items() for each in found]
    return Table("A worker's memory over its life, requests of all kinds", columns, rows)


def _row(name: str, step: Step, first: Step) -> list[Cell]:
    longest = None if step.longest is None else step.longest * 1000
    return [name, step.megabytes, step.megabytes / first.megabytes, longest, step.p99]


def _targets(steps: list[Step]) -> list[Target]:
    first, *later = steps
    growth = [
        Target(
            f"memory after {each.requests:,} requests / {first.requests:,}",
            Bound.AT_MOST,
            _MAX_GROWTH,
            each.megabytes / first.megabytes,
        )
        for each in later
    ]
    longest = max(each.longest or 0.0 for each in steps)
    return [*growth, Target("longest full collection, s", Bound.AT_MOST, _MAX_COLLECTION, longest, ".3f")]
