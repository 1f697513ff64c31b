"""Lists of management objects: the query that they take, their signed cursors, and the shape of a page."""

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from tenants.cursors import SignedCursors
from tenants.database.keyset import Keyset
from tenants.values.numbers import WHOLE_IN_QUERY


class PageQuery(BaseModel):
    """Query of a list that is returned in pages; other parameters are refused."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100, description="Maximum number of objects to return."), WHOLE_IN_QUERY] = 25
    cursor: Annotated[str | None, Field(max_length=500, description="`next_cursor` of the previous page.")] = None


class ListQuery(PageQuery):
    """Query of a list of management objects, ordered by creation time."""

    sort: Annotated[
        Literal["created_at", "-created_at"], Field(description="Order by creation time; `-` for descending.")
    ] = "-created_at"


Item = TypeVar("Item")
Row = TypeVar("Row")


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    data: list[Item]
    has_more: Annotated[bool, Field(description="Whether there is a next page.", examples=[False])]
    next_cursor: Annotated[str | None, Field(description="The `cursor` of the next page.", examples=[None])]

    @classmethod
    def model_parametrized_name(cls, params: tuple[object, ...]) -> str:
        """``ApiKeyPage`` for pages of ``ApiKeyResponse``: the name in the OpenAPI document."""
        return f"{getattr(params[0], '__name__', '').removesuffix('Response')}Page"


def page_of(
    rows: Sequence[Row], limit: int, show: Callable[[Row], Item], cursor_after: Callable[[Row], str]
) -> Page[Item]:
    """A page of at most ``limit`` rows; there is a next one when ``rows`` has more."""
    page, has_more = rows[:limit], len(rows) > limit
    next_cursor = cursor_after(page[-1]) if has_more else None
    return Page(data=[show(each) for each in page], has_more=has_more, next_cursor=next_cursor)


def page_of_documents(
    rows: Sequence[Row], limit: int, show: Callable[[Row], bytes], cursor_after: Callable[[Row], str]
) -> bytes:
    """As ``page_of``, of objects that are JSON already."""
    page, has_more = rows[:limit], len(rows) > limit
    cursor = json.dumps(cursor_after(page[-1]) if has_more else None).encode()
    more = b"true" if has_more else b"false"
    return b'{"data":[%b],"has_more":%b,"next_cursor":%b}' % (b",".join(map(show, page)), more, cursor)


def complete_page(rows: Sequence[Row], show: Callable[[Row], Item]) -> Page[Item]:
    """The only page of a list that is always short."""
    return Page(data=[show(each) for each in rows], has_more=False, next_cursor=None)


class Identified(Protocol):
    """A row with a UUIDv7."""

    @property
    def id(self) -> UUID: ...


Ordered = TypeVar("Ordered", bound=Identified)


class ListCursors:
    """Cursors of one list of one tenant, in one order, with one filter: a page ends with the id of its last row."""

    def __init__(self, secret: bytes, name: str, tenant: UUID | None, query: ListQuery) -> None:
        filters: dict[str, Any] = query.model_dump(mode="json", exclude={"cursor", "limit"})
        self._cursors = SignedCursors(secret, f"{name} {tenant} {sorted(filters.items())}".encode())
        self._query = query

    def keyset(self) -> Keyset:
        """The rows to read: one more than the page holds, to know whether there is a next page. Raises BadCursor."""
        cursor = self._query.cursor
        after = None if cursor is None else UUID(bytes=self._cursors.read(cursor))
        return Keyset(self._query.limit + 1, after, self._query.sort.startswith("-"))

    def page(self, rows: Sequence[Ordered], show: Callable[[Ordered], Item]) -> Page[Item]:
        """The page of the rows that ``keyset`` selected."""
        return page_of(rows, self._query.limit, show, self.after)

    def after(self, row: Identified) -> str:
        """The cursor of the page that begins after this row."""
        return self._cursors.write(row.id.bytes)
