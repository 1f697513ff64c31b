"""Rows to JSON, straight: no model is filled and nothing is checked again that the database holds already."""

from decimal import Decimal

import orjson

from tenants.crud.repository import Row
from tenants.crud.service import Page
from tenants.identifiers import show
from tenants.resources.collection import Collection
from tenants.resources.fields import FieldKind

_Document = dict[str, object]


class Renderer:
    """Renders the rows of one resource."""

    def __init__(self, collection: Collection) -> None:
        self._prefix = collection.resource.singular
        self._names = tuple(field.name for field in collection.fields)
        ids = (FieldKind.ID, FieldKind.REFERENCE)
        self._ids = tuple((field.name, field.prefix) for field in collection.fields if field.kind in ids)

    def id_of(self, row: Row) -> str:
        """The row's id as callers see it."""
        return show(self._prefix, row[0])

    def one(self, row: Row) -> bytes:
        """One object."""
        return _dump(self._document(row))

    def page(self, page: Page) -> bytes:
        """A list: ``{"data", "has_more", "next_cursor"}``."""
        data = [self._document(row) for row in page.rows]
        return _dump({"data": data, "has_more": page.next_cursor is not None, "next_cursor": page.next_cursor})

    def _document(self, row: Row) -> _Document:
        document = dict(zip(self._names, row, strict=False))  # the row's last value is its version, which is not shown
        for name, prefix in self._ids:
            value = document[name]
            if value is not None:
                document[name] = show(prefix, value)
        return document


def _dump(document: _Document) -> bytes:
    return orjson.dumps(document, default=_plain, option=orjson.OPT_UTC_Z)


def _plain(value: object) -> str:
    """A decimal is text: as a JSON number most readers would round it."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise TypeError
