"""The cost of whole requests: against a bare ASGI application, and against the same transaction with psycopg alone.

One worker on one core, sixteen connections, warm. The gateway is ``tenantry serve``; the canned route is measured with
the same server. With ``--base`` the servers of another checkout take turns with those of this one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

import httpx
import orjson

from benchmarks import naive
from benchmarks.application_server import CANNED_PATH
from benchmarks.deployment import Deployment, open_deployment
from benchmarks.options import Options
from benchmarks.population import new_access_token
from benchmarks.report import Bound, Cell, Column, Report, Table, Target
from benchmarks.servers import Server, Servers
from benchmarks.workloads import Workload, caveats, cpu, p50, p99, rate, run_rounds, value_range
from gateway.development.load import request_bytes

_CONTACT = {"name": "Ada Lovelace", "email": "ada@example.com", "company": "Analytical Engines", "stage": "lead"}
_ROWS = 60  # of the table that is read
_CONTACTS, _PAGE = "/v1/contacts", "/v1/contacts?limit=50"
_COLUMNS = (
    Column("workload"),
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
    """Workloads and their baseline, which is the first of them."""

    title: str
    workloads: list[Workload]
    targets: dict[str, float] = field(default_factory=dict)  # the minimum ratio, by name of the workload

    def table(self) -> Table:
        """Medians of the rounds; ratios of requests per second, round by round."""
        return Table(self.title, _COLUMNS, [self._row(each) for each in self.workloads], caveats(self.workloads))

    def measured_targets(self) -> list[Target]:
        """The targets with their measured ratios."""
        baseline = self.workloads[0].name
        return [
            Target(f"{each.name} / {baseline}", Bound.AT_LEAST, self.targets[each.name], median(self._ratios(each)))
            for each in self.workloads
            if each.name in self.targets
        ]

    def _ratios(self, workload: Workload) -> list[float]:
        return workload.ratios(self.workloads[0], rate)

    def _row(self, workload: Workload) -> list[Cell]:
        ratios = self._ratios(workload)
        costs = (workload.median(figure) for figure in (cpu, p50, p99))
        memory = workload.server.memory_megabytes()
        return [workload.name, workload.median(rate), median(ratios), value_range(ratios), *costs, memory]


@dataclass(frozen=True, slots=True)
class Checkout:
    """The gateway and the canned gate of one checkout."""

    gateway: Server
    canned: Server
    suffix: str = ""  # of workload names

    @classmethod
    def start(cls, servers: Servers, suffix: str = "") -> "Checkout":
        return cls(servers.gateway(), servers.application("canned"), suffix)


@dataclass(frozen=True, slots=True)
class Setup:
    """The servers and the ids of existing rows."""

    deployment: Deployment
    checkouts: list[Checkout]
    naive: Server
    direct: Server
    contact: str  # id of a row, for the gateway and the direct application
    naive_contact: str

    def workload(self, name: str, server: Server, path: str, **headers: str) -> Workload:
        """A GET of the tenant, or one with other headers."""
        return Workload(name, server, [request_bytes(server.url + path, headers or self.deployment.tenant.headers)])

    def create(self, name: str, server: Server) -> Workload:
        """A POST that creates a contact."""
        headers = self.deployment.tenant.headers
        request = request_bytes(server.url + _CONTACTS, headers, "POST", orjson.dumps(_CONTACT))
        return Workload(name, server, [request], status=201)


def measure(options: Options) -> Report:
    """All kinds of requests in turn."""
    with open_deployment() as deployment:
        setup = _set_up(deployment, options)
        comparisons = [_gate(setup), *_data(setup)]
        workloads = [workload for each in comparisons for workload in each.workloads]
        run_rounds(workloads, options, options.scale(2.0, 0.5))
        targets = [target for each in comparisons for target in each.measured_targets()]
        return Report([each.table() for each in comparisons], targets)


def _set_up(deployment: Deployment, options: Options) -> Setup:
    checkouts = [Checkout.start(deployment.servers)]
    if options.base is not None:
        checkouts.append(Checkout.start(deployment.servers_of(options.base), ", base"))
    gateway = checkouts[0].gateway
    contacts = [_create_contact(gateway.url, deployment.tenant.headers) for _ in range(_ROWS)]
    direct = deployment.servers.plain_uvicorn("benchmarks.direct:create_app", DIRECT_SCHEMA=deployment.tenant.schema)
    row = naive.prepare(deployment.owner_url, deployment.tenant.api_key, _ROWS)
    stack = deployment.servers.plain_uvicorn("benchmarks.naive:create_app", NAIVE_DATABASE_URL=deployment.owner_url)
    setup = Setup(deployment, checkouts, stack, direct, contacts[0], str(row))
    _check_equal_responses(setup)
    return setup


def _create_contact(url: str, headers: dict[str, str]) -> str:
    response = httpx.post(url + _CONTACTS, json=_CONTACT, headers=headers).raise_for_status()
    return str(response.json()["id"])


def _check_equal_responses(setup: Setup) -> None:
    """A baseline that does less work would not be comparable. Only the signed cursor may differ."""
    servers = (*(each.gateway for each in setup.checkouts), setup.direct)
    for path in (f"{_CONTACTS}/{setup.contact}", _PAGE):
        responses = [httpx.get(server.url + path, headers=setup.deployment.tenant.headers) for server in servers]
        first, *others = ({**each.raise_for_status().json(), "next_cursor": None} for each in responses)
        if any(other != first for other in others):
            raise SystemExit(f"the baseline's response to {path} differs")


def _gate(setup: Setup) -> Comparison:
    servers = setup.deployment.servers
    token = {"authorization": f"Bearer {new_access_token(setup.deployment)}"}
    workloads = [
        setup.workload("bare ASGI", servers.plain_uvicorn("benchmarks.bare:create_app"), "/"),
        setup.workload("bare ASGI behind our server", servers.application("bare"), "/"),
        *_each(setup, "gate, canned response, API key", CANNED_PATH, canned=True),
        *_each(setup, "gate, canned response, JWT", CANNED_PATH, canned=True, **token),
        *_each(setup, "GET /v1/me", "/v1/me"),
        setup.workload("naive stack, canned response", setup.naive, CANNED_PATH),
    ]
    targets = {"gate, canned response, API key": 0.70, "gate, canned response, JWT": 0.68}
    return Comparison("The gate, against bare ASGI under plain uvicorn", workloads, targets)


def _data(setup: Setup) -> Iterable[Comparison]:
    title = "{}, against the same transaction with psycopg in a bare ASGI application"
    one = f"{_CONTACTS}/{setup.contact}"
    of_one = [
        setup.workload("psycopg, one", setup.direct, one),
        *_each(setup, "GET one", one),
        setup.workload("naive stack, one", setup.naive, f"{_CONTACTS}/{setup.naive_contact}"),
    ]
    yield Comparison(title.format("One row by its id"), of_one, {"GET one": 0.80})
    of_page = [
        setup.workload("psycopg, 50", setup.direct, _PAGE),
        *_each(setup, "GET 50", _PAGE),
        setup.workload("naive stack, 50", setup.naive, _PAGE),
    ]
    yield Comparison(title.format("A list of 50"), of_page, {"GET 50": 0.75})
    creates = [setup.create(f"POST one{each.suffix}", each.gateway) for each in setup.checkouts]
    yield Comparison(title.format("A new row"), [setup.create("psycopg, new", setup.direct), *creates])


def _each(setup: Setup, name: str, path: str, *, canned: bool = False, **headers: str) -> list[Workload]:
    """The same request at each checkout."""
    return [
        setup.workload(f"{name}{each.suffix}", each.canned if canned else each.gateway, path, **headers)
        for each in setup.checkouts
    ]
