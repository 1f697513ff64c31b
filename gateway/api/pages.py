"""Lists of management objects: the query that they take, their signed cursors, and the answer's shape."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Annotated, Generic, Literal, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from tenants.database.keyset import Keyset
from tenants.errors import ValidationFailed

_PURPOSE = b"tenantry management cursor 1"
_MAC_BYTES = 16


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
    """Cursors of one list of one tenant, in one order: changed, or taken elsewhere, they are refused (IS6)."""

    def __init__(self, secret: bytes, name: str, tenant: UUID | None, query: ListQuery) -> None:
        bound = f"{name} {tenant} {query.sort}".encode()
        self._key = hmac.digest(hmac.digest(secret, _PURPOSE, "sha256"), bound, "sha256")
        self._query = query

    def keyset(self) -> Keyset:
        """The rows to read: one more than are shown, to know whether there are more. Raises ValidationFailed."""
        after = None if self._query.cursor is None else self._read(self._query.cursor)
        return Keyset(self._query.limit + 1, after, self._query.sort.startswith("-"))

    def cut(self, rows: Sequence[Row]) -> tuple[Sequence[Row], str | None]:
        """The rows to show, and the cursor of the next page if there is one."""
        shown = rows[: self._query.limit]
        return shown, self._write(shown[-1].id) if len(rows) > len(shown) else None

    def _write(self, row: UUID) -> str:
        return urlsafe_b64encode(self._mac(row) + row.bytes).decode().rstrip("=")

    def _read(self, cursor: str) -> UUID:
        try:
            row = UUID(bytes=urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[_MAC_BYTES:])
        except ValueError:
            row = UUID(int=0)
        if not hmac.compare_digest(self._write(row).encode(), cursor.encode()):
            message = "Not a cursor of this list: take next_cursor as it is, with the same sort."
            raise ValidationFailed.at("/query/cursor", "bad_cursor", message)
        return row

    def _mac(self, row: UUID) -> bytes:
        return hmac.digest(self._key, row.bytes, "sha256")[:_MAC_BYTES]
