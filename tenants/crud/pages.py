"""Keyset pages: a cursor says after which row the next page begins, never how many rows to skip (DA3).

A cursor is signed, and bound to tenant, resource, sort, filters and search: changed, or taken elsewhere, it is refused
(IS6). Its content is what the caller has seen already, the last row's sort value and id, so it is not encrypted.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, replace
from uuid import UUID

import orjson

from tenants.crud.faults import query_fault
from tenants.crud.filters import Filter
from tenants.crud.sort import Sort
from tenants.errors import ValidationFailed
from tenants.identifiers import TenantId
from tenants.resources.collection import Collection
from tenants.resources.fields import Field, FieldKind
from tenants.resources.values import BadValue, Value, read, write

_PURPOSE = b"tenantry cursor 1"  # a new layout gets a new number, and old cursors are refused
_MAC_BYTES = 16


@dataclass(frozen=True, slots=True)
class Position:
    """The last row of a page, as its sort sees it."""

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
    """Signs and reads cursors. ``secret`` is the deployment's; every worker must have the same."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, _PURPOSE, "sha256")

    def write(self, listing: Listing, position: Position) -> str:
        """The cursor of the page that begins after ``position``."""
        value = None if position.value is None else write(_sort_field(listing), position.value)
        content = orjson.dumps((value, position.id.hex))
        return _encoded(self._mac(listing, content) + content)

    def read(self, listing: Listing, cursor: str) -> Position:
        """The position that ``write`` was given for this same listing. Raises ValidationFailed."""
        try:
            content = self._verified(listing, cursor)
            text, row = orjson.loads(content)
            value = None if text is None else read(_sort_field(listing), text)
            return Position(value, UUID(hex=row))
        except ValueError as error:
            message = "Not a cursor of this list: take next_cursor as it is, with the same sort, filters and search."
            raise ValidationFailed((query_fault("cursor", "bad_cursor", message),)) from error

    def _verified(self, listing: Listing, cursor: str) -> bytes:
        signed = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        if _encoded(signed) != cursor:  # the decoder skips what is not of its alphabet
            raise BadValue("bad_cursor", "Spelled in another way than ours.")
        mac, content = signed[:_MAC_BYTES], signed[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(listing, content)):
            raise BadValue("bad_cursor", "The signature is of another list, or of another content.")
        return content

    def _mac(self, listing: Listing, content: bytes) -> bytes:
        """Over a JSON array, in which no two different listings can read the same."""
        filters = sorted((each.field, each.operator.value, repr(each.value)) for each in listing.filters)
        bound = (
            str(listing.tenant),
            listing.collection.name,
            str(listing.sort),
            filters,
            listing.search,
            content.hex(),
        )
        return hmac.digest(self._key, orjson.dumps(bound), "sha256")[:_MAC_BYTES]


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _sort_field(listing: Listing) -> Field:
    field = listing.collection.sortable[listing.sort.field]
    # A row may hold a choice that only a newer release knows.
    return replace(field, kind=FieldKind.TEXT) if field.kind is FieldKind.CHOICE else field
