"""``sort=name`` or ``sort=-name``: one listed column, ties broken by id in the same direction.

NULL counts as greater than every value: last when ascending, first when descending, which is the order of PostgreSQL's
indexes.
"""

from dataclasses import dataclass

from tenants.crud.faults import query_fault
from tenants.errors import ValidationFailed
from tenants.resources.collection import Collection


@dataclass(frozen=True, slots=True)
class Sort:
    """The order of a list."""

    field: str
    descending: bool

    def __str__(self) -> str:
        return f"-{self.field}" if self.descending else self.field


def sorts_of(collection: Collection) -> tuple[str, ...]:
    """Every value of ``sort``."""
    return tuple(f"{sign}{name}" for name in collection.sortable for sign in ("", "-"))


def read_sort(collection: Collection, text: str | None) -> Sort:
    """The requested order, or the resource's default. Raises ValidationFailed."""
    spelled = collection.resource.default_sort if text is None else text
    name = spelled.removeprefix("-")
    if name not in collection.sortable:
        known = ", ".join(sorts_of(collection))
        raise ValidationFailed((query_fault("sort", "unknown_sort", f"Must be one of: {known}."),))
    return Sort(name, spelled.startswith("-"))
