"""The two runs that bring a deployment up to date: the control schema first, then every tenant's."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy import Connection, Engine, MetaData, text

from migrations.blueprint import append_only_tables, store_blueprint
from migrations.engine import LOCK_TIMEOUT, owner_connection, owner_engine
from migrations.fleet import Fleet, Outcome, Step, TenantBehind, tenants_behind
from migrations.jobs import bring_job_tables_forward, make_job_tables, set_up_outbox
from migrations.metadata import TENANT_METADATA
from migrations.streams import control_stream, render, tenant_stream, upgrade

_RUN_KEY = 0x74656E616E747279  # "tenantry": one migration at a time in a database
_FLEET_KEY = _RUN_KEY + 1  # shared by the connections of a fleet, whose last statements outlive a run that was killed
_CANARIES = 3  # tenants that go first
_JOBS = 4  # tenants at a time


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, after one more tenant."""

    done: int
    total: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class FleetReport:
    """What a run did. ``skipped`` tenants were left alone, since every canary failed: the migration is to blame."""

    revisions: tuple[str, ...]
    migrated: int
    failed: tuple[Outcome, ...]
    skipped: int

    @property
    def complete(self) -> bool:
        """True when every tenant stands at ``revisions``."""
        return not self.failed and not self.skipped


def migrate_control(owner_url: str) -> None:
    """Bring schema ``tenantry`` to the head of its stream, in one transaction: all of it or nothing.

    Then the job tables, step by step, and what their outbox queue needs. Waits while another migration runs. Raises
    sqlalchemy.exc.DBAPIError.
    """
    stream = control_stream()
    with one_at_a_time(owner_engine(owner_url)) as connection:
        with connection.begin():
            upgrade(stream, connection)
            make_job_tables(connection)
        bring_job_tables_forward(connection)
        with connection.begin():
            set_up_outbox(connection)


def migrate_tenants(
    owner_url: str,
    locations: tuple[Path, ...] = (),
    *,
    models: MetaData = TENANT_METADATA,
    jobs: int = _JOBS,
    canaries: int = _CANARIES,
    lock_timeout: float = LOCK_TIMEOUT,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> FleetReport:
    """Bring every tenant to the heads of the tenant stream, and new tenants' blueprint before them.

    ``locations`` are the folders of the SaaS's own revisions; ``models`` tells which of its tables are append-only, so
    its module must be imported by then. A tenant that fails is noted, answers 503 alone, and is tried again by the
    next run; so is whatever a killed run has left. Raises DatabaseIsNewer, and sqlalchemy.exc.DBAPIError or
    psycopg.Error when the server is gone.
    """
    stream, append_only = tenant_stream(locations), append_only_tables(TENANT_METADATA, models)
    with one_at_a_time(owner_engine(owner_url)) as connection, ExitStack() as stack:
        with connection.begin():
            target = store_blueprint(connection, stream, append_only).end
        with connection.begin():
            behind = tenants_behind(connection, target)
        starts = {tenant.revisions for tenant in behind}
        steps = {start: Step(render(stream, start), append_only) for start in starts}
        count = min(jobs, len(behind))
        connections = [stack.enter_context(_fleet_connection(owner_url, lock_timeout)) for _ in range(count)]
        outcomes = _in_rings(Fleet(connections, steps), behind, canaries, on_progress)
    failed = tuple(outcome for outcome in outcomes if outcome.error is not None)
    return FleetReport(target, len(outcomes) - len(failed), failed, len(behind) - len(outcomes))


def _in_rings(
    fleet: Fleet, behind: list[TenantBehind], canaries: int, on_progress: Callable[[Progress], None]
) -> list[Outcome]:
    done = 0

    def report(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        on_progress(Progress(done, len(behind), outcome))

    if not behind:
        return []
    first, rest = behind[:canaries], behind[canaries:]
    outcomes = fleet.migrate(first, report)
    # One canary that fails may be a tenant of its own kind; when all do, the rest is better served as it stands.
    if rest and not all(outcome.error for outcome in outcomes):
        outcomes += fleet.migrate(rest, report)
    return outcomes


@contextmanager
def one_at_a_time(engine: Engine) -> Iterator[Connection]:
    """A connection that holds the lock of all migrations. The server frees it when the connection ends, however.

    When it is had, the fleet of a run that was killed has ended as well: the server finishes and commits a statement
    whose client has gone, and we would meet its tenant on the way.
    """
    with engine.connect() as connection:
        with connection.begin():
            # Another run may take as long as it takes: here waiting is right.
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _RUN_KEY})
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _FLEET_KEY})
        yield connection


def _fleet_connection(owner_url: str, lock_timeout: float) -> psycopg.Connection:
    connection = owner_connection(owner_url, lock_timeout)
    connection.execute("SELECT pg_advisory_lock_shared(%s)", (_FLEET_KEY,))
    return connection
