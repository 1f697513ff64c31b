"""``sort=name`` or ``sort=-name``: one listed column, ties broken by id in the same direction.

What has no value counts as greater than all that has: last when ascending, first when descending, which is the order
that PostgreSQL's indexes have.
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
    """Every value that ``sort`` takes."""
    return tuple(f"{sign}{name}" for name in collection.sortable for sign in ("", "-"))


def read_sort(collection: Collection, text: str | None) -> Sort:
    """The order that the query asks for, or the resource's own. Raises ValidationFailed."""
    spelled = collection.resource.default_sort if text is None else text
    name = spelled.removeprefix("-")
    if name not in collection.sortable:
        known = ", ".join(sorts_of(collection))
        raise ValidationFailed((query_fault("sort", "unknown_sort", f"Must be one of: {known}."),))
    return Sort(name, spelled.startswith("-"))
