"""Lists of management objects: the query that they take, their signed cursors, and the answer's shape."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from tenants.cursors import SignedCursors
from tenants.database.keyset import Keyset

_DIGITS = re.compile(r"[0-9]{1,9}", re.ASCII)


def _in_digits(value: object) -> object:
    """What pydantic takes beside: `10.0`, `1_0` and blanks, is refused as lists of data refuse it."""
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise PydanticCustomError("wrong_type", "Must be an integer.")
    return value


class PageQuery(BaseModel):
    """Query of a list that comes in pages; anything else in it is refused."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100), BeforeValidator(_in_digits)] = 25
    cursor: Annotated[str | None, Field(max_length=500, description="`next_cursor` of the page before.")] = None


class ListQuery(PageQuery):
    """Query of a list of management objects, by the time of their making."""

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
    """Cursors of one list of one tenant, in one order, under one filter: a page ends with the id of its last row."""

    def __init__(self, secret: bytes, name: str, tenant: UUID | None, query: ListQuery) -> None:
        asked: dict[str, Any] = query.model_dump(mode="json", exclude={"cursor", "limit"})
        self._cursors = SignedCursors(secret, f"{name} {tenant} {sorted(asked.items())}".encode())
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
