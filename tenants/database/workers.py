"""Control table ``gateway_workers``: which workers trust their caches, and what each of them has applied.

A worker's row is written by its change listener, on the connection that LISTENs, and read by those that wait for it.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple
from uuid import UUID

from psycopg import sql
from sqlalchemy import (
    ARRAY,
    BigInteger,
    String,
    Uuid,
    any_,
    bindparam,
    cast,
    column,
    delete,
    extract,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy import Sequence as NumberSequence

from tenants.database.models import GatewayWorker, GatewayWorkerEpoch
from tenants.database.names import CHANGES_CHANNEL, CONTROL_SCHEMA
from tenants.database.statements import Work, prepare

CONFIRM = "confirm"  # first word of a notification that asks every worker to write what it has applied
_ONLY = 1  # id of the only epoch
_SERIALS = NumberSequence("confirmations", schema=CONTROL_SCHEMA)


class Question(NamedTuple):
    """What the workers were asked, and who has to answer."""

    serial: int
    age: float | None  # seconds since the rows began; None when they have not
    beats: dict[UUID, int]  # of every worker that may trust what was loaded before the question


# A crash of the server removes this row with the others. The next worker that connects inserts it again.
BEGIN_ROWS = sql.SQL("INSERT INTO {}.gateway_worker_epochs (id) VALUES ({}) ON CONFLICT DO NOTHING").format(
    sql.Identifier(CONTROL_SCHEMA), sql.Literal(_ONLY)
)
# Returns the last question that was asked. Every change before it was committed by then, and so its notification comes
# before the answer to this statement.
HEARTBEAT = sql.SQL(
    "INSERT INTO {schema}.gateway_workers AS worker (id, host, pid, beat, seen)"
    " VALUES (%(id)s, %(host)s, %(pid)s, %(beat)s, %(seen)s)"
    " ON CONFLICT (id) DO UPDATE SET beat = excluded.beat, seen = excluded.seen, confirmed_at = excluded.confirmed_at"
    " WHERE worker.beat < excluded.beat"
    " RETURNING (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {schema}.confirmations)"
).format(schema=sql.Identifier(CONTROL_SCHEMA))
CONFIRMED = sql.SQL(
    "SELECT host, pid, extract(epoch FROM clock_timestamp() - confirmed_at) FROM {}.gateway_workers"
    " ORDER BY confirmed_at"
).format(sql.Identifier(CONTROL_SCHEMA))
REMOVE = sql.SQL("DELETE FROM {}.gateway_workers WHERE id = %(id)s").format(sql.Identifier(CONTROL_SCHEMA))

_asked = select(_SERIALS.next_value().label("serial")).cte("asked")
_told = select(
    _asked.c.serial,
    func.pg_notify(
        literal_column(f"'{CHANGES_CHANNEL}'"), literal_column(f"'{CONFIRM} '") + cast(_asked.c.serial, String)
    ).label("told"),
).cte("told")
_ASK = prepare(
    select(
        _told.c.serial,
        extract("epoch", func.clock_timestamp() - GatewayWorkerEpoch.began_at),
        GatewayWorker.id,
        GatewayWorker.beat,
        _told.c.told,
    ).select_from(_told.outerjoin(GatewayWorkerEpoch, true()).outerjoin(GatewayWorker, true()))
)
_UNANSWERED = prepare(
    select(GatewayWorker.id).where(
        GatewayWorker.id == any_(bindparam("ids", type_=ARRAY(Uuid))),
        GatewayWorker.seen < bindparam("serial", type_=BigInteger),
    )
)
_silent = (
    func.unnest(bindparam("ids", type_=ARRAY(Uuid)), bindparam("beats", type_=ARRAY(BigInteger)))
    .table_valued(column("id", Uuid), column("beat", BigInteger), name="silent")
    .render_derived(name="silent")
)
_FORGET = prepare(
    delete(GatewayWorker)
    .where(GatewayWorker.id == _silent.c.id, GatewayWorker.beat == _silent.c.beat)
    .returning(GatewayWorker.id, GatewayWorker.host, GatewayWorker.pid)
)


class Forgotten(NamedTuple):
    """A worker whose row was removed because it had stopped without doing so."""

    id: UUID
    host: str
    pid: int


async def ask(work: Work) -> Question:
    """Ask every worker to write that it has applied all that is committed by now. Raises Unavailable."""
    rows = await work.rows(_ASK, {})
    serial, age = rows[0][:2]
    beats = {worker: beat for _, _, worker, beat, _ in rows if worker is not None}
    return Question(serial, None if age is None else float(age), beats)


async def unanswered(work: Work, workers: Collection[UUID], serial: int) -> set[UUID]:
    """Those of these workers that have not written it yet. One whose row is gone trusts nothing."""
    return {worker for (worker,) in await work.rows(_UNANSWERED, {"ids": list(workers), "serial": serial})}


async def forget(work: Work, beats: Mapping[UUID, int]) -> list[Forgotten]:
    """Remove the rows of workers whose heart has not beaten since, for longer than they can trust their caches."""
    given = {"ids": list(beats), "beats": list(beats.values())}
    return [Forgotten(*row) for row in await work.rows(_FORGET, given)]
