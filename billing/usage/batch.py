"""A batch of counts as PostgreSQL takes it: one array for each column, as a literal.

Written here, each row takes 4 µs. As objects, which psycopg asks one by one for their types, the same rows took 31.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple, Self
from uuid import UUID

from billing.usage.counts import Count, Counted

_MINUTE = 60  # seconds
_REMEMBERED = 4096  # minutes, and routes


class Batch(NamedTuple):
    """One segment of one worker's journal, complete: it is added as a whole, and once."""

    journal: UUID
    sequence: int
    columns: Mapping[str, str]  # array literals, by the names of the table's columns

    @classmethod
    def of(cls, journal: UUID, sequence: int, counts: Mapping[Counted, Count]) -> Self:
        """Takes milliseconds for thousands of rows: not for the event loop."""
        # In one order, the same in every worker: whoever waits for a row holds none that the other still needs.
        rows = sorted(counts.items())
        columns = {
            "tenant_id": _array([counted.tenant.hex() for counted, _ in rows]),
            "minute": _array([_moment(counted.minute) for counted, _ in rows]),
            "principal_id": _array([counted.principal.hex() for counted, _ in rows]),
            "route": _array([_quoted(counted.route) for counted, _ in rows]),
            "status_class": _array([str(counted.status_class) for counted, _ in rows]),
            "kind": _array([counted.kind.value for counted, _ in rows]),
            "requests": _array([str(count.requests) for _, count in rows]),
            "cost": _array([str(count.cost) for _, count in rows]),
        }
        return cls(journal, sequence, columns)


def _array(elements: Iterable[str]) -> str:
    # https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
    return f"{{{','.join(elements)}}}"


@lru_cache(_REMEMBERED)
def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@lru_cache(_REMEMBERED)
def _moment(minute: int) -> str:
    return datetime.fromtimestamp(minute * _MINUTE, UTC).isoformat()
