"""Rows to JSON: without a model, and without checking again what the database has checked."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import repeat
from typing import Any

import orjson

from tenants.crud.rows import StoredRow
from tenants.crud.service import Page
from tenants.database.statements import Row
from tenants.identifiers import show
from tenants.resources.collection import Collection
from tenants.resources.fields import FieldKind

_Document = dict[str, Any]


class Renderer:
    """Renders the rows of one resource."""

    def __init__(self, collection: Collection) -> None:
        self._prefix = collection.resource.singular
        self._names = tuple(field.name for field in collection.fields)
        ids = (FieldKind.ID, FieldKind.REFERENCE)
        self._ids = tuple((field.name, field.prefix) for field in collection.fields if field.kind in ids)

    def id_of(self, row: StoredRow) -> str:
        """The row's id as callers see it."""
        return show(self._prefix, row.id)

    def one(self, row: StoredRow) -> bytes:
        """One object."""
        return _dump(self._documents((row.values,))[0])

    def page(self, page: Page) -> bytes:
        """A list: ``{"data", "has_more", "next_cursor"}``."""
        data = self._documents(page.rows)
        return _dump({"data": data, "has_more": page.next_cursor is not None, "next_cursor": page.next_cursor})

    def _documents(self, rows: Sequence[Row]) -> list[_Document]:
        # The version follows the values and has no name among them: zip leaves it out.
        documents: list[_Document] = [dict(each) for each in map(zip, repeat(self._names), rows)]
        for name, prefix in self._ids:
            for document in documents:
                value = document[name]
                if value is not None:
                    document[name] = show(prefix, value)
        return documents


def _dump(document: _Document) -> bytes:
    return orjson.dumps(document, default=_plain, option=orjson.OPT_UTC_Z)


def _plain(value: object) -> str:
    """A decimal is text: as a JSON number most readers would round it."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise TypeError
