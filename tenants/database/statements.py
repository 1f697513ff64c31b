"""Prepared statements: SQL compiled once, run alone, in a group of statements, or in a session (``Work``)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Delete, Insert, Select, Update
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from tenants.database.pipeline import Call, Row, Statement

__all__ = ["Bound", "Prepared", "Row", "Work", "prepare"]

Clause = Select[*tuple[Any, ...]] | Insert | Update | Delete

# Only its spelling of placeholders is used: $1 with the type's cast, which is what the server's own protocol takes.
_DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # SQLAlchemy annotates no dialect's constructor


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement compiled once. ``parameters`` names its values in the order of the placeholders."""

    clause: Clause
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
    """Compile to the server's own placeholders. Costs some 100 µs: do it once for each shape of statement.

    Defaults that Python computes are not applied: an INSERT must name every such column.
    """
    compiled = clause.compile(dialect=_DIALECT)
    sql = str(compiled).encode()
    name = b"s_" + hashlib.blake2b(sql, digest_size=12).hexdigest().encode()
    fixed = {key: value for key, value in compiled.params.items() if value is not None}
    return Prepared(clause, Statement(name, sql), tuple(compiled.positiontup or ()), fixed)


class Work(Protocol):
    """Runs statements in one schema, as its role: each in a transaction of its own, or all in one session."""

    async def rows(self, prepared: Prepared, given: Mapping[str, object]) -> list[Row]:
        """Run it and return its rows. Raises Unavailable, and psycopg's or SQLAlchemy's errors."""
