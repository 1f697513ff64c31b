"""SQL of the jobs that data writes defer, in a queue that sends no NOTIFY and keeps no history of its jobs.

A commit that has sent a NOTIFY takes a lock over the whole server, so that all data writes would commit one by one. The
migrations narrow the library's triggers by this queue's name (``migrations/job_tables.py``), and workers poll it.

Each write defers a job of its own, since a unique job would make a tenant's writers wait for one another; the first
that runs drops the others. It is due after a pause, so that a stream of writes takes few runs.
"""

from datetime import timedelta

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    MetaData,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    literal,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from tenants.database.names import CONTROL_SCHEMA
from tenants.database.sessions import ControlSession
from tenants.database.statements import Bound, prepare
from tenants.identifiers import TenantId

OUTBOX = "outbox"

_PAUSE: ColumnElement[timedelta] = literal_column("interval '500 milliseconds'")
_JOBS = Table(
    "procrastinate_jobs",
    MetaData(schema=CONTROL_SCHEMA),
    Column("id", BigInteger),
    Column("queue_name", Text),
    Column("task_name", Text),
    Column("args", JSONB),
    Column("status", Text),
    Column("scheduled_at", DateTime(timezone=True)),
)
_INSERT = insert(_JOBS).values(
    queue_name=literal(OUTBOX, Text()),
    task_name=bindparam("task", type_=Text()),
    args=func.jsonb_build_object(literal_column("'tenant'"), bindparam("tenant", type_=Text())),
    scheduled_at=func.now() + _PAUSE,
)
_DEFER = prepare(_INSERT)
_TENANT_OF_JOB: ColumnElement[str] = _JOBS.c.args.op("->>", return_type=Text())(literal_column("'tenant'"))
# The literal conditions are those of the index in migrations/job_tables.py. A job that a worker takes now is locked.
_QUEUED = (
    select(_JOBS.c.id)
    .where(_JOBS.c.queue_name == literal_column(f"'{OUTBOX}'"), _JOBS.c.status == literal_column("'todo'"))
    .where(
        bindparam("tenant", type_=Text()) == _TENANT_OF_JOB,
        _JOBS.c.task_name == bindparam("task"),
    )
    .with_for_update(skip_locked=True)
)
_DROP = delete(_JOBS).where(_JOBS.c.id.in_(_QUEUED))


def deferred(task: str, tenant: TenantId) -> Bound:
    """A job of the tenant, for the control part of a transaction: committed with the change, or not at all."""
    return Bound(_DEFER, {"task": task, "tenant": str(tenant)})


async def defer(session: ControlSession, task: str, tenant: TenantId) -> None:
    """As ``deferred``, in a control transaction."""
    await session.execute(_INSERT, {"task": task, "tenant": str(tenant)})


async def drop_queued(session: ControlSession, task: str, tenant: TenantId) -> None:
    """Drop every visible job of that task and tenant that no worker has taken yet."""
    await session.execute(_DROP, {"task": task, "tenant": str(tenant)})
