"""Which columns a unique constraint of a table covers, so that a conflict names its fields and never their values."""

import re
from collections.abc import Iterator

from sqlalchemy import Index, Table, TextClause, UniqueConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ExcludeConstraint

_PREPARER = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]
_WORD = re.compile(r"\w+")


def unique_constraints(table: Table) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The name that PostgreSQL reports, with the names of the columns: unique and exclusion constraints, and indexes.

    Of an index on an expression, the columns in it. The primary key is not one: its values are the server's.
    """
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint | ExcludeConstraint):
            yield _reported(_PREPARER.format_constraint(constraint)), tuple(constraint.columns.keys())
    for index in table.indexes:
        if index.unique:
            yield _reported(_PREPARER.format_index(index)), (*index.columns.keys(), *_columns_in_text(index, table))


def _reported(formatted: str | None) -> str:
    """The name as PostgreSQL has it: cut to its length by the dialect, without quotes."""
    return (formatted or "").strip('"')


def _columns_in_text(index: Index, table: Table) -> Iterator[str]:
    for expression in index.expressions:
        if isinstance(expression, TextClause):
            yield from dict.fromkeys(word for word in _WORD.findall(expression.text) if word in table.columns)
