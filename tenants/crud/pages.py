"""Keyset pages: a cursor names the row after which the next page begins, not a number of rows to skip (DA3).

A cursor is bound to tenant, resource, sort, filters and search (IS6). It holds the last row's sort value and id.
"""

from dataclasses import dataclass, replace
from uuid import UUID

import orjson

from tenants.crud.filters import Filter
from tenants.crud.sort import Sort
from tenants.cursors import SignedCursors
from tenants.identifiers import TenantId
from tenants.resources.collection import Collection
from tenants.resources.fields import Field, FieldKind
from tenants.resources.values import Value, read, write


@dataclass(frozen=True, slots=True)
class Position:
    """The last row of a page, by its sort value and id."""

    value: Value | None
    id: UUID


@dataclass(frozen=True, slots=True)
class Listing:
    """Which list a cursor belongs to."""

    tenant: TenantId
    collection: Collection
    sort: Sort
    filters: tuple[Filter, ...]
    search: tuple[str, ...]


class Cursors:
    """Writes and reads the cursors of every list. ``secret`` is the same on every worker of the deployment."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def write(self, listing: Listing, position: Position) -> str:
        """The cursor of the page after ``position``."""
        value = None if position.value is None else write(_sort_field(listing), position.value)
        return self._of(listing).write(orjson.dumps((value, position.id.hex)))

    def read(self, listing: Listing, cursor: str) -> Position:
        """The position in a cursor that ``write`` made for the same listing. Raises BadCursor."""
        text, row = orjson.loads(self._of(listing).read(cursor))
        value = None if text is None else read(_sort_field(listing), text)
        return Position(value, UUID(hex=row))

    def _of(self, listing: Listing) -> SignedCursors:
        """Bound by a JSON array, which is different for any two listings."""
        filters = sorted((each.field, each.operator.value, repr(each.value)) for each in listing.filters)
        bound = str(listing.tenant), listing.collection.name, str(listing.sort), filters, listing.search
        return SignedCursors(self._secret, orjson.dumps(bound))


def _sort_field(listing: Listing) -> Field:
    field = listing.collection.sortable[listing.sort.field]
    # During a rollout a row may hold a choice that only the newer release defines.
    return replace(field, kind=FieldKind.TEXT) if field.kind is FieldKind.CHOICE else field
