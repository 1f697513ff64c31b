"""Prepared statements: SQL compiled once, run alone, in a group of statements, or in a session (``Work``)."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from sqlalchemy import ColumnElement, Delete, Insert, Select, Update, literal_column
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from tenants.database.pipeline import Call, Row, Statement

__all__ = ["CONDITIONS", "Bound", "Prepared", "Row", "Work", "condition", "driver_form", "prepare", "with_conditions"]

Clause = Select[*tuple[Any, ...]] | Insert | Update | Delete
_PLACEHOLDER = re.compile(r"\$([0-9]+)")
_CONDITIONS = "true /* conditions */"
# Where ``with_conditions`` puts the conditions of a statement.
CONDITIONS: ColumnElement[bool] = literal_column(_CONDITIONS)

# Only its spelling of placeholders is used: $1 with the type's cast, which is what the server's own protocol takes.
_DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # SQLAlchemy annotates no dialect's constructor


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement compiled once. ``parameters`` names its values in the order of the placeholders.

    It keeps the SQL alone: the expression that it was compiled from is some 250 objects for a list with 20 filters, and
    a thousand of these made every full collection of garbage take 0.3 s.
    """

    statement: Statement
    parameters: tuple[str, ...]
    fixed: Mapping[str, object]  # values that the statement itself carries, such as a LIMIT

    def call(self, given: Mapping[str, object]) -> Call:
        """The statement with its values, in order. Raises KeyError when one is missing."""
        return Call(self.statement, [given[name] if name in given else self.fixed[name] for name in self.parameters])


class Bound(NamedTuple):
    """A prepared statement and the values to run it with."""

    prepared: Prepared
    given: Mapping[str, object]

    def call(self) -> Call:
        """As ``Prepared.call``."""
        return self.prepared.call(self.given)


def prepare(clause: Clause) -> Prepared:
    """Compile to the server's own placeholders. Costs 100 µs and more: do it once for each shape of statement.

    Defaults that Python computes are not applied: an INSERT must name every such column.
    """
    compiled = clause.compile(dialect=_DIALECT)
    fixed = {key: value for key, value in compiled.params.items() if value is not None}
    return Prepared(_statement(str(compiled)), tuple(compiled.positiontup or ()), fixed)


def condition(expression: ColumnElement[bool]) -> str:
    """The SQL of a condition on one parameter, whose placeholder is ``$1``, for ``with_conditions``."""
    return str(expression.compile(dialect=_DIALECT))


def with_conditions(prepared: Prepared, conditions: Sequence[str], parameters: Sequence[str]) -> Prepared:
    """The statement with all of these conditions in place of ``CONDITIONS``, the value of each in its parameter.

    Costs 20 µs for 20 conditions, where compiling them as one statement costs 5 ms.
    """
    first = len(prepared.parameters) + 1
    numbered = (each.replace("$1", f"${number}") for number, each in enumerate(conditions, first))
    sql = prepared.statement.sql.decode().replace(_CONDITIONS, " AND ".join(numbered) or "true")
    return Prepared(_statement(sql), (*prepared.parameters, *parameters), prepared.fixed)


def driver_form(call: Call) -> tuple[str, dict[str, object]]:
    """The statement and its values as psycopg's cursors take them, with named placeholders."""
    sql = _PLACEHOLDER.sub(r"%(v\1)s", call.statement.sql.decode().replace("%", "%%"))
    return sql, {f"v{number}": value for number, value in enumerate(call.values, 1)}


def _statement(sql: str) -> Statement:
    encoded = sql.encode()
    return Statement(b"s_" + hashlib.blake2b(encoded, digest_size=12).hexdigest().encode(), encoded)


class Work(Protocol):
    """Runs statements in one schema, as its role: each in a transaction of its own, or all in one session."""

    async def rows(self, prepared: Prepared, given: Mapping[str, object]) -> list[Row]:
        """Run it and return its rows. Raises Unavailable, and psycopg's or SQLAlchemy's errors."""
