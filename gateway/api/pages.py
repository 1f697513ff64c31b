"""Lists of management objects: the query that they take, their signed cursors, and the answer's shape."""

from collections.abc import Sequence
from typing import Annotated, Generic, Literal, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from tenants.cursors import SignedCursors
from tenants.database.keyset import Keyset


class ListQuery(BaseModel):
    """Query of a list of management objects; anything else in it is refused."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: Annotated[str | None, Field(max_length=100, description="`next_cursor` of the page before.")] = None
    sort: Literal["created_at", "-created_at"] = "-created_at"


Shown = TypeVar("Shown")


class Page(BaseModel, Generic[Shown]):
    """One page of a list."""

    data: list[Shown]
    has_more: bool
    next_cursor: str | None


class Identified(Protocol):
    """A row with a UUIDv7."""

    @property
    def id(self) -> UUID: ...


Row = TypeVar("Row", bound=Identified)


class ListCursors:
    """Cursors of one list of one tenant, in one order: a page ends with the id of its last row."""

    def __init__(self, secret: bytes, name: str, tenant: UUID | None, query: ListQuery) -> None:
        self._cursors = SignedCursors(secret, f"{name} {tenant} {query.sort}".encode())
        self._query = query

    def keyset(self) -> Keyset:
        """The rows to read: one more than are shown, to know whether there are more. Raises BadCursor."""
        cursor = self._query.cursor
        after = None if cursor is None else UUID(bytes=self._cursors.read(cursor))
        return Keyset(self._query.limit + 1, after, self._query.sort.startswith("-"))

    def cut(self, rows: Sequence[Row]) -> tuple[Sequence[Row], str | None]:
        """The rows to show, and the cursor of the next page if there is one."""
        shown = rows[: self._query.limit]
        return shown, self._cursors.write(shown[-1].id.bytes) if len(rows) > len(shown) else None
