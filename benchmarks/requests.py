"""What a request costs on its whole way: against the bare server under it, and against the same transaction alone.

One worker on one core, sixteen connections, warm. The gateway's own figures are of ``tenantry serve``; the canned ones
of the same server with one route more, whose answer is the bare application's.
"""

from dataclasses import dataclass, field
from statistics import median

import httpx
import orjson

from benchmarks import canned, naive
from benchmarks.effort import Effort
from benchmarks.population import new_person
from benchmarks.report import Bound, Cell, Column, Report, Table, Target
from benchmarks.servers import Server
from benchmarks.stand import Stand, open_stand
from benchmarks.works import Work, caveats, cpu, p50, p99, rate, run_rounds, spread
from gateway.development.load import request_bytes

_CONTACT = {"name": "Ada Lovelace", "email": "ada@example.com", "company": "Analytical Engines", "stage": "lead"}
_ROWS = 60  # of the table that is read
_CONTACTS, _PAGE = "/v1/contacts", "/v1/contacts?limit=50"
_COLUMNS = (
    Column("work"),
    Column("requests/s", ",.0f"),
    Column("ratio", ".3f"),
    Column("range", ".3f"),
    Column("CPU µs", ".1f"),
    Column("p50 ms", ".2f"),
    Column("p99 ms", ".2f"),
    Column("memory MB", ".0f"),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Works beside their yardstick, which is the first of them."""

    title: str
    works: list[Work]
    wanted: dict[Work, float] = field(default_factory=dict)  # the least ratio to reach

    def table(self) -> Table:
        """Medians of the rounds; ratios of requests a second, round by round."""
        return Table(self.title, _COLUMNS, [self._row(work) for work in self.works], caveats(self.works))

    def targets(self) -> list[Target]:
        """Those that this comparison is held against."""
        yardstick = self.works[0].name
        return [
            Target(f"{work.name} / {yardstick}", Bound.AT_LEAST, wanted, median(self._ratios(work)))
            for work, wanted in self.wanted.items()
        ]

    def _ratios(self, work: Work) -> list[float]:
        return work.ratios(self.works[0], rate)

    def _row(self, work: Work) -> list[Cell]:
        ratios = self._ratios(work)
        costs = (work.median(each) for each in (cpu, p50, p99))
        return [work.name, work.median(rate), median(ratios), spread(ratios), *costs, work.server.memory_megabytes()]


@dataclass(frozen=True, slots=True)
class Rig:
    """The servers, and one row that is there."""

    stand: Stand
    gateway: Server
    naive: Server
    direct: Server
    contact: str  # id, as the gateway and the direct application show it
    naive_contact: str

    def work(self, name: str, server: Server, path: str, **more: str) -> Work:
        """A request of the tenant's, or with other headers."""
        url = server.url + path
        return Work(name, server, [request_bytes(url, more or self.stand.tenant.headers)])

    def creates(self, name: str, server: Server) -> Work:
        """One contact more."""
        headers = self.stand.tenant.headers
        request = request_bytes(server.url + _CONTACTS, headers, "POST", orjson.dumps(_CONTACT))
        return Work(name, server, [request], status=201)


def measure(effort: Effort) -> Report:
    """All kinds of requests in turn."""
    with open_stand() as stand:
        rig = _rig(stand)
        comparisons = [_gate(rig), *_data(rig)]
        run_rounds([work for each in comparisons for work in each.works], effort, effort.of(2.0, 0.3))
        targets = [target for each in comparisons for target in each.targets()]
        return Report([each.table() for each in comparisons], targets)


def _rig(stand: Stand) -> Rig:
    gateway = stand.servers.gateway()
    made = [_make(gateway.url, stand.tenant.headers) for _ in range(_ROWS)]
    direct = stand.servers.yardstick("benchmarks.direct:create_app", DIRECT_SCHEMA=stand.tenant.schema)
    row = naive.prepare(stand.owner_url, stand.tenant.api_key, _ROWS)
    other = stand.servers.yardstick("benchmarks.naive:create_app", NAIVE_DATABASE_URL=stand.owner_url)
    rig = Rig(stand, gateway, other, direct, made[0], str(row))
    _check_that_both_answer_alike(rig)
    return rig


def _make(url: str, headers: dict[str, str]) -> str:
    answer = httpx.post(url + _CONTACTS, json=_CONTACT, headers=headers).raise_for_status()
    return str(answer.json()["id"])


def _check_that_both_answer_alike(rig: Rig) -> None:
    """A yardstick that does less would be no yardstick; only the cursor, which we sign, is not the same."""
    for path in (f"{_CONTACTS}/{rig.contact}", _PAGE):
        answers = [
            httpx.get(server.url + path, headers=rig.stand.tenant.headers) for server in (rig.gateway, rig.direct)
        ]
        ours, other = (answer.raise_for_status().json() for answer in answers)
        if {**ours, "next_cursor": None} != {**other, "next_cursor": None}:
            raise SystemExit(f"{path} is answered otherwise by the yardstick")


def _gate(rig: Rig) -> Comparison:
    servers = rig.stand.servers
    gate = servers.ours("canned")
    bare = rig.work("bare ASGI", servers.yardstick("benchmarks.bare:create_app"), "/")
    by_key = rig.work("gate, canned answer, API key", gate, canned.PATH)
    by_token = rig.work("gate, canned answer, JWT", gate, canned.PATH, authorization=f"Bearer {new_person(rig.stand)}")
    works = [
        bare,
        rig.work("bare ASGI behind our server", servers.ours("bare"), "/"),
        by_key,
        by_token,
        rig.work("GET /v1/me", rig.gateway, "/v1/me"),
        rig.work("naive stack, canned answer", rig.naive, canned.PATH),
    ]
    return Comparison("The gate, against bare ASGI under plain uvicorn", works, {by_key: 0.70, by_token: 0.68})


def _data(rig: Rig) -> list[Comparison]:
    one = f"{_CONTACTS}/{rig.contact}"
    read, listed = rig.work("GET one", rig.gateway, one), rig.work("GET 50", rig.gateway, _PAGE)
    of_one = [
        rig.work("psycopg, one", rig.direct, one),
        read,
        rig.work("naive stack, one", rig.naive, f"{_CONTACTS}/{rig.naive_contact}"),
    ]
    of_page = [rig.work("psycopg, 50", rig.direct, _PAGE), listed, rig.work("naive stack, 50", rig.naive, _PAGE)]
    of_post = [rig.creates("psycopg, new", rig.direct), rig.creates("POST one", rig.gateway)]
    title = "{}, against the same transaction through psycopg in a bare ASGI application"
    return [
        Comparison(title.format("One row by its id"), of_one, {read: 0.80}),
        Comparison(title.format("A list of 50"), of_page, {listed: 0.75}),
        Comparison(title.format("A new row"), of_post),
    ]
