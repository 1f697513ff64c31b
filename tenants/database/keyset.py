"""Keyset pages over control tables, whose UUIDv7 keys sort by the time of making: no row twice, none missed (DA3)."""

from dataclasses import dataclass
from typing import Any, TypeVarTuple
from uuid import UUID

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute

_Columns = TypeVarTuple("_Columns")


@dataclass(frozen=True, slots=True)
class Keyset:
    """``count`` rows beyond the one that ended the page before."""

    count: int
    after: UUID | None = None
    descending: bool = True

    def of(self, query: Select[*_Columns], key: InstrumentedAttribute[Any]) -> Select[*_Columns]:
        """The query, ordered by its key and cut to this page."""
        ordered = query.order_by(key.desc() if self.descending else key.asc()).limit(self.count)
        if self.after is None:
            return ordered
        return ordered.where(key < self.after if self.descending else key > self.after)
