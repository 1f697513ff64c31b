"""A row of a resource as the shared CRUD service passes it on."""

from typing import Any, NamedTuple
from uuid import UUID

from tenants.database.statements import Row
from tenants.resources.collection import Collection


class StoredRow(NamedTuple):
    """A row with the two parts that every resource has by name."""

    id: UUID
    version: int
    values: Row  # in the order of ``Collection.fields``, the id first; the version follows them

    def named(self, collection: Collection) -> dict[str, Any]:
        """The values by field name."""
        return dict(zip((field.name for field in collection.fields), self.values, strict=False))

    def value_of(self, collection: Collection, name: str) -> Any:
        """The value of that field. Raises ValueError when the resource has no such field."""
        return self.values[[field.name for field in collection.fields].index(name)]


def stored(row: Row) -> StoredRow:
    """The row that a statement with the columns of ``repository`` has returned: the id first, the version last."""
    return StoredRow(row[0], row[-1], row)
