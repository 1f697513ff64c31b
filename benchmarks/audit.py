"""The audit log: rows written, chained and verified a second, the lag of the chain, and what a row adds to a write."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psycopg
import uvloop
from psycopg import sql
from sqlalchemy import Uuid, bindparam, insert

from benchmarks.deployment import Deployment, open_deployment, settings_of
from benchmarks.options import Options, log_progress
from benchmarks.report import Bound, Column, Report, Table, Target
from examples.crm.contacts import Contact
from gateway.development.processes import Child, Launch
from gateway.services import Services, build_services
from tenants.audit import service as audit
from tenants.audit.origin import SYSTEM
from tenants.audit.verification import Verification
from tenants.crud import service
from tenants.database.statements import prepare
from tenants.directory.reference import tenant_reference
from tenants.events.service import number_events
from tenants.identifiers import new_id
from tenants.principal import TenantRef

_FILL = (
    "INSERT INTO {log} (id, type, object_id, actor_kind, before, after, request_id, source)"
    " SELECT gen_random_uuid(), 'contacts.updated', gen_random_uuid(), 'api_key', state, state,"
    " 'req_01kc2q7v8ze1rb9m3x5w6t0h4d', '203.0.113.7' FROM generate_series(1, %s) AS number,"
    " jsonb_build_object('id', number, 'name', 'Ada Lovelace', 'email', 'ada@example.com', 'stage', 'lead',"
    " 'company', 'Analytical Engines', 'value_cents', 1000, 'notes', NULL, 'version', 1) AS state"
)
_UNCHAINED = "SELECT extract(epoch FROM clock_timestamp() - min(created_at)) FROM {log} WHERE hash IS NULL"
_CONTACT = {"name": "Ada Lovelace", "email": "ada@example.com", "company": "Analytical Engines", "stage": "lead"}
_WRITES_PER_SECOND = 50
_MOST_LAG = 3.0  # seconds
_RATES = (Column("what"), Column("rows/s", ",.0f"))
_TIMES = (Column("what"), Column("p50 µs", ",.0f"))
_LAG = (Column("oldest unchained row"), Column("p50 ms", ",.0f"), Column("max ms", ",.0f"))


def measure(options: Options) -> Report:
    """All of it, on one tenant; the figures of PostgreSQL include its processes' turns on the core of the load."""
    with open_deployment() as deployment, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        services = build_services(settings_of(deployment.environment))
        tenant = runner.run(_tenant(services))
        rows = options.scale(1_000_000, 100_000)
        rates = [
            ("written by record() in transactions of their own", runner.run(_recorded(services, tenant, options))),
            *runner.run(_chained_and_verified(services, tenant, deployment, rows)),
        ]
        times = runner.run(_created(services, tenant, options))
        with _worker(deployment):
            lags = runner.run(_lags(services, tenant, deployment, options.scale(20.0, 5.0)))
        runner.run(services.features.close())
    tables = [
        Table(f"The audit log, {rows:,} rows", _RATES, rates),
        Table("One contact created", _TIMES, times),
        Table(
            f"The chain while {_WRITES_PER_SECOND} contacts a second are written",
            _LAG,
            [("age", median(lags) * 1000, max(lags) * 1000)],
        ),
    ]
    return Report(tables, [Target("age of the oldest unchained row, seconds", Bound.AT_MOST, _MOST_LAG, max(lags))])


async def _tenant(services: Services) -> TenantRef:
    async with services.database.control() as session:
        return tenant_reference(await services.features.directory.read_by_slug(session, "bench"))


async def _recorded(services: Services, tenant: TenantRef, options: Options) -> float:
    async def once() -> None:
        async with services.database.control() as session:
            await audit.record(session, tenant.id, SYSTEM, "roles.created", new_id(), after={"name": "support"})

    count = options.scale(2_000, 300)
    return 1e6 / await _microseconds(once, count)


async def _chained_and_verified(
    services: Services, tenant: TenantRef, deployment: Deployment, rows: int
) -> list[tuple[str, float]]:
    await number_events(services.database, tenant.id)
    log_progress(f"inserting {rows:,} rows")
    with psycopg.connect(deployment.owner_url) as owner:
        owner.execute(_on_log(_FILL, tenant), (rows,))
    log_progress("chaining")
    began = time.perf_counter()
    chained = await number_events(services.database, tenant.id)
    chaining = chained / (time.perf_counter() - began)
    log_progress("verifying")
    began = time.perf_counter()
    verdict = await Verification(services.database).run(tenant, ())
    if not verdict.good:
        raise SystemExit(f"the log is not good: {verdict.faults.named[:3]}")
    return [("chained", chaining), ("verified", verdict.events / (time.perf_counter() - began))]


async def _created(services: Services, tenant: TenantRef, options: Options) -> list[tuple[str, float]]:
    """By the CRUD service, and by the same INSERT without the row and the job, in turns."""
    work, contacts = services.database.statements(tenant), services.registry["contacts"]
    row = insert(Contact).values(id=bindparam("row_id", type_=Uuid()), version=1, **_CONTACT)
    plain = prepare(row.returning(Contact.id, Contact.version))

    async def alone() -> None:
        await work.rows(plain, {"row_id": new_id()})

    async def audited() -> None:
        await service.create(work, contacts, _CONTACT, origin=SYSTEM)

    found: dict[str, list[float]] = {"with its row and its job": [], "alone": []}
    for _ in range(options.rounds):
        found["with its row and its job"].append(await _microseconds(audited, options.scale(1_000, 200)))
        found["alone"].append(await _microseconds(alone, options.scale(1_000, 200)))
    return [(name, median(each)) for name, each in found.items()]


async def _lags(services: Services, tenant: TenantRef, deployment: Deployment, seconds: float) -> list[float]:
    """Ages of the oldest unchained row, sampled while contacts are written; 0 when every row is chained."""
    work, contacts = services.database.statements(tenant), services.registry["contacts"]
    query, lags, end = _on_log(_UNCHAINED, tenant), [], time.monotonic() + seconds
    async with await psycopg.AsyncConnection.connect(deployment.owner_url, autocommit=True) as owner:
        while time.monotonic() < end:
            await service.create(work, contacts, _CONTACT, origin=SYSTEM)
            row = await (await owner.execute(query)).fetchone()
            lags.append(float(row[0] or 0) if row else 0.0)
            await asyncio.sleep(1 / _WRITES_PER_SECOND)
    return lags


async def _microseconds(work: Callable[[], Awaitable[None]], count: int) -> float:
    """The median duration, one after another."""
    durations = []
    for _ in range(count):
        began = time.perf_counter()
        await work()
        durations.append(time.perf_counter() - began)
    return median(durations) * 1e6


@contextmanager
def _worker(deployment: Deployment) -> Iterator[None]:
    """A job worker on the core of PostgreSQL and the load, with an empty backlog."""
    log = deployment.servers.folder / "audit-worker.log"
    command = [sys.executable, "-m", "gateway.cli", "worker"]
    child = Child(Launch(command=command, folder=Path.cwd(), log=log, environment=deployment.environment))
    query = "SELECT count(*) FROM tenantry.procrastinate_jobs WHERE queue_name = 'outbox'"
    try:
        with psycopg.connect(deployment.owner_url, autocommit=True) as owner:
            while owner.execute(query).fetchone() != (0,):
                time.sleep(0.1)
        yield
    finally:
        child.stop()


def _on_log(statement: str, tenant: TenantRef) -> sql.Composed:
    return sql.SQL(statement).format(log=sql.Identifier(tenant.schema, "tenantry_events"))
