"""Migrates a deployment: the control schema first, then every tenant."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, text

from migrations.blueprint import append_only_tables, store_blueprint
from migrations.engine import owner_connection, owner_engine
from migrations.fleet import Fleet, Outcome, Step, TenantBehind, tenants_behind
from migrations.job_tables import make_job_tables, set_up_outbox, upgrade_job_tables
from migrations.locks import LockWait, LockWatch, retry_locked
from migrations.metadata import TENANT_METADATA
from migrations.streams import control_stream, heads, render, tenant_stream, upgrade

_RUN_KEY = 0x74656E616E747279  # "tenantry": one migration at a time in a database
_FLEET_KEY = _RUN_KEY + 1  # shared by the fleet's connections, whose last statements can outlive a killed run
_CANARIES = 3  # tenants that go first
_JOBS = 4  # tenants in parallel
_WAIT = LockWait()


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run after another tenant."""

    done: int
    total: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class FleetReport:
    """The result of a run. Tenants are ``skipped`` when every canary failed."""

    revisions: tuple[str, ...]
    migrated: int
    failed: tuple[Outcome, ...]
    skipped: int

    @property
    def complete(self) -> bool:
        """Whether every tenant is at ``revisions``."""
        return not self.failed and not self.skipped


def migrate_control(owner_url: str, wait: LockWait = _WAIT) -> None:
    """Migrate schema ``tenantry`` to the head of its stream, in one transaction.

    Then migrates the job tables step by step, and what their outbox queue needs. Waits while another migration runs.
    Raises StillLocked, and sqlalchemy.exc.DBAPIError.
    """
    stream = control_stream()

    def migrate(connection: Connection) -> None:
        with connection.begin():
            upgrade(stream, connection)
            make_job_tables(connection)
        upgrade_job_tables(connection)
        with connection.begin():
            set_up_outbox(connection)

    with (
        one_at_a_time(owner_engine(owner_url, wait.timeout)) as connection,
        LockWatch(owner_url, wait.timeout) as watch,
    ):
        retry_locked(lambda: migrate(connection), _pid(connection), wait, watch)


def migrate_tenants(
    owner_url: str,
    locations: tuple[Path, ...] = (),
    *,
    models: MetaData = TENANT_METADATA,
    jobs: int = _JOBS,
    canaries: int = _CANARIES,
    wait: LockWait = _WAIT,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> FleetReport:
    """Store the script for new tenants, then migrate every tenant to the heads of the tenant stream.

    ``locations`` are the folders of the SaaS's own revisions; ``models`` says which tables are append-only, so its
    module must be imported before. A tenant that fails keeps its schema, is recorded, and is retried by the next run,
    as are the tenants that a killed run has left. Raises DatabaseIsNewer and StillLocked, and
    sqlalchemy.exc.DBAPIError or psycopg.Error when the server is gone.
    """
    stream, append_only = tenant_stream(locations), append_only_tables(TENANT_METADATA, models)
    with ExitStack() as stack:
        connection = stack.enter_context(one_at_a_time(owner_engine(owner_url, wait.timeout)))
        watch = stack.enter_context(LockWatch(owner_url, wait.timeout))
        target = _store(connection, stream, append_only, wait, watch)
        with connection.begin():
            behind = tenants_behind(connection, target)
        starts = {tenant.revisions for tenant in behind}
        steps = {start: Step(render(stream, start), append_only) for start in starts}
        count = min(jobs, len(behind))
        connections = [stack.enter_context(_fleet_connection(owner_url, wait.timeout)) for _ in range(count)]
        outcomes = _in_rings(Fleet(connections, steps, wait, watch), behind, canaries, on_progress)
    failed = tuple(outcome for outcome in outcomes if outcome.error is not None)
    return FleetReport(target, len(outcomes) - len(failed), failed, len(behind) - len(outcomes))


def _store(
    connection: Connection, stream: ScriptDirectory, append_only: list[str], wait: LockWait, watch: LockWatch
) -> tuple[str, ...]:
    """Store the script for new tenants, and return its revisions. Waits for tenants that are being created."""

    def store() -> None:
        with connection.begin():
            store_blueprint(connection, stream, append_only)

    retry_locked(store, _pid(connection), wait, watch)
    return heads(stream)


def _pid(connection: Connection) -> int:
    with connection.begin():
        return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


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
    # One failing canary can be a special case; if all fail, the migration is at fault, or something that locks every
    # tenant, such as a backup: the rest stays unchanged.
    if not first or any(outcome.error is None for outcome in outcomes):
        outcomes += fleet.migrate(rest, report)
    return outcomes


@contextmanager
def one_at_a_time(engine: Engine) -> Iterator[Connection]:
    """A connection that holds the migration lock. The server releases it when the connection ends.

    With the lock, the fleet connections of a killed run have ended too: the server finishes and commits a statement
    whose client is gone, which would conflict with this run.
    """
    with engine.connect() as connection:
        with connection.begin():
            # Waits without a timeout for another run.
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _RUN_KEY})
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _FLEET_KEY})
        yield connection


def _fleet_connection(owner_url: str, lock_timeout: float) -> psycopg.Connection:
    connection = owner_connection(owner_url, lock_timeout)
    connection.execute("SELECT pg_advisory_lock_shared(%s)", (_FLEET_KEY,))
    return connection
