"""One PostgreSQL connection in libpq's pipeline mode, driven by the event loop.

A group of statements travels in one round trip and is one implicit transaction, ended by the Sync message. Its first
statement sets the tenant's role and search_path locally; a group with a control part then switches to the control role;
the end of the transaction resets both, whatever happens in between.
Source: PostgreSQL manual, "Pipeline Mode" and "Extended Query": an error skips the rest of the group and rolls it back,
and the server answers the Sync once the commit is done or has failed.

Measured on one row by its key: 50 µs of CPU, where psycopg's own coroutines take 190 for the same group in its pipeline
mode, and 240 for begin, both statements and commit.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import psycopg
from psycopg import errors, pq
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq.abc import PGresult

from tenants.database.connection import GatewayConnection
from tenants.database.engine import connect_arguments
from tenants.database.names import CONTROL_ROLE, CONTROL_SCHEMA, search_path
from tenants.settings import DatabaseSettings

_ENTER = b"SELECT set_config('search_path', $1, true), set_config('role', $2, true)"
_ENTER_NAME = b"enter"
_TEXT = [PyFormat.TEXT]
_KEPT_STATEMENTS = 200  # prepared on one connection; the least recently used is closed

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with ``$1`` placeholders, and a name that is unique to this SQL."""

    name: bytes
    sql: bytes


class Call(NamedTuple):
    """A statement and its values, in the order of its placeholders."""

    statement: Statement
    values: Sequence[object]


class Group(NamedTuple):
    """The statements of one transaction: the tenant's, then those of the control role."""

    search_path: bytes
    role: bytes
    calls: Sequence[Call]
    control: Sequence[Call] = ()

    def in_order(self) -> Sequence[Call]:
        """Every statement that follows the entry, the change to the control role included."""
        return (*self.calls, *_ENTER_CONTROL, *self.control) if self.control else self.calls


# A tenant's role may not call set_config. SET ROLE checks the membership of the session user, which is the gateway's
# login role, so these two work after the tenant's statements; and since they are whole statements, SQL injected into an
# expression cannot reach them (docs/decisions/0017-send-a-transaction-as-a-group-of-statements.md).
_ENTER_CONTROL = (
    Call(Statement(b"enter_control_role", f"SET LOCAL ROLE {CONTROL_ROLE}".encode()), ()),
    Call(Statement(b"enter_control_path", f"SET LOCAL search_path = {search_path(CONTROL_SCHEMA)}".encode()), ()),
)


class PipelineConnection:
    """Runs one group at a time. Not shared: ``PipelinePool`` hands it to one group after another."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self.opened_at = time.monotonic()
        self.usable = True  # until it is lost or closed
        self.role = b""  # of the last group, for affinity; it ended with that group
        self._connection = connection  # keeps the socket alive
        self._pg = connection.pgconn
        self._transformer = Transformer(connection)
        self._prepared: OrderedDict[bytes, None] = OrderedDict()
        self._results: list[PGresult] = []
        self._waiter: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._socket = self._pg.socket
        self._pg.nonblocking = 1
        self._pg.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._readable)

    @classmethod
    async def open(cls, settings: DatabaseSettings, deadline: float) -> Self:
        """Connect and prepare. Raises psycopg.OperationalError and TimeoutError when PostgreSQL does not answer."""
        arguments: dict[str, Any] = connect_arguments(settings)
        async with asyncio.timeout_at(deadline):
            connection = await GatewayConnection.connect(settings.url, autocommit=True, **arguments)
        opened = cls(connection)
        try:
            opened._pg.send_prepare(_ENTER_NAME, _ENTER)
            opened._first_error(await opened._round_trip(deadline))
        except BaseException:
            opened.close()
            raise
        return opened

    async def run(self, group: Group, deadline: float) -> list[list[Row]]:
        """Run the group in one round trip and return the rows of each of its statements, the tenant's first.

        Its writes are committed when this returns. Raises psycopg.Error, and TimeoutError when there is no answer by
        ``deadline``, a time of the event loop. Call nothing else on this connection until it has returned or raised.
        A cancelled or interrupted group closes the connection: nothing may read the rest of its answer.
        """
        calls = group.in_order()
        parameters = [self._transformer.dump_sequence(call.values, _TEXT * len(call.values)) for call in calls]
        fresh = {call.statement.name for call in calls if call.statement.name not in self._prepared}
        self.role = group.role
        try:
            if fresh:
                self._send_closes(calls, fresh)
            self._pg.send_query_prepared(_ENTER_NAME, [group.search_path, group.role])
            prepared = self._send_calls(calls, parameters, fresh)
            results = await self._round_trip(deadline)
        except BaseException:
            self.close()
            raise
        answers = self._answers(results[-len(calls) - len(prepared) :], prepared) if prepared else results[1:]
        self._first_error(results)
        rows = []
        for call, answer in zip(calls, answers, strict=True):
            self._prepared.move_to_end(call.statement.name)
            self._transformer.set_pgresult(answer)
            rows.append(self._transformer.load_rows(0, answer.ntuples, tuple))
        return rows[: len(group.calls)] + rows[-len(group.control) :] if group.control else rows

    def forget(self, group: Group) -> None:
        """Prepare its statements again at their next use: a plan is older than the table that it was made for.

        They are then prepared and executed in one transaction, so that the table cannot change in between.
        """
        for call in (*group.calls, *group.control):
            self._prepared.pop(call.statement.name, None)

    def close(self) -> None:
        """Close the socket; a group under way is cut off. Safe to call again."""
        if self.usable:  # else its descriptor may be another connection's by now
            self.usable = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._pg.finish()

    def _send_closes(self, calls: Sequence[Call], fresh: set[bytes]) -> None:
        # Before the group's first statement that can fail. Closing an unknown name is no error.
        for call in calls:
            if call.statement.name in self._prepared:
                self._prepared.move_to_end(call.statement.name)
        while len(self._prepared) + len(fresh) > _KEPT_STATEMENTS:
            self._pg.send_close_prepared(self._prepared.popitem(last=False)[0])
        for name in fresh:
            self._pg.send_close_prepared(name)

    def _send_calls(self, calls: Sequence[Call], parameters: Sequence[Any], fresh: set[bytes]) -> dict[int, bytes]:
        """Send each, and its preparation before its first use; the places of those among the results, and their names.

        Empties ``fresh``.
        """
        prepared: dict[int, bytes] = {}
        for place, call in enumerate(calls):
            name = call.statement.name
            if name in fresh:
                fresh.remove(name)
                prepared[place + len(prepared)] = name
                self._pg.send_prepare(name, call.statement.sql)
            self._pg.send_query_prepared(name, parameters[place], result_format=pq.Format.BINARY)
        return prepared

    def _answers(self, results: list[PGresult], prepared: dict[int, bytes]) -> list[PGresult]:
        """Note what is prepared now, which a later error does not undo, and return the other results."""
        for place, name in prepared.items():
            if results[place].status == pq.ExecStatus.COMMAND_OK:
                self._prepared[name] = None
        return [result for place, result in enumerate(results) if place not in prepared]

    async def _round_trip(self, deadline: float) -> list[PGresult]:
        self._results = []
        self._waiter = self._loop.create_future()
        self._pg.pipeline_sync()
        if self._pg.flush():  # the socket's buffer is full
            self._loop.add_writer(self._socket, self._drain)
        giving_up = self._loop.call_at(deadline, self._give_up)
        try:
            await self._waiter
        finally:
            giving_up.cancel()
            self._waiter = None
        return self._results

    def _drain(self) -> None:
        try:
            if not self._pg.flush():
                self._loop.remove_writer(self._socket)
        except psycopg.Error as error:
            self._lost(error)

    def _readable(self) -> None:
        try:
            self._pg.consume_input()
            done = self._collect()
        except psycopg.Error as error:
            self._lost(error)
            return
        if done and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _collect(self) -> bool:
        """Take what has arrived; true when the group's Sync has been answered."""
        between = False  # libpq puts one None between two statements, and answers None for ever when all is read
        while not self._pg.is_busy():
            result = self._pg.get_result()
            if result is None:
                if between:
                    return False
                between = True
            elif result.status == pq.ExecStatus.PIPELINE_SYNC:
                return True
            else:
                between = False
                self._results.append(result)
        return False

    def _lost(self, error: Exception) -> None:
        self.close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def _give_up(self) -> None:
        self._lost(TimeoutError("PostgreSQL has not answered in time"))

    def _first_error(self, results: list[PGresult]) -> None:
        for result in results:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise errors.error_from_result(result)
