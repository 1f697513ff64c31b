"""The fields of a declaration, before validation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from sqlalchemy import Table

from tenants.database.base import TenantModel
from tenants.resources.errors import DeclarationError
from tenants.resources.fields import Field, Rule, describe
from tenants.resources.hooks import Hook

BASE_COLUMNS = ("id", "created_at", "updated_at", "version")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Declaration:
    """See ``Resource``, the validated form."""

    model: type[TenantModel]
    name: str
    singular: str
    writable: tuple[str, ...]
    filterable: tuple[str, ...] = ()
    sortable: tuple[str, ...] = ("created_at",)
    searchable: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    default_sort: str = "-created_at"
    description: str = ""
    rules: Mapping[str, Rule] = field(default_factory=lambda: MappingProxyType({}))
    costs: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    before_change: Hook | None = None
    after_change: Hook | None = None

    @property
    def has_hooks(self) -> bool:
        """Whether its changes need an interactive session."""
        return self.before_change is not None or self.after_change is not None

    @property
    def table(self) -> Table:
        """The model's table. Raises DeclarationError when it is mapped to something else."""
        table = getattr(self.model, "__table__", None)
        if not isinstance(table, Table):
            raise DeclarationError(f"Resource {self.name!r}", "model is not mapped to a table")
        return table

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields in responses: every column except hidden ones and ``version``, which becomes the ETag.

        ``id`` comes first, ``created_at`` and ``updated_at`` last. Raises UnsupportedColumn.
        """
        columns = self.table.columns
        own = [name for name in columns.keys() if name not in {*self.hidden, *BASE_COLUMNS}]  # noqa: SIM118 - no dict
        return tuple(
            describe(columns[name], self.rules.get(name, Rule())) for name in ("id", *own, "created_at", "updated_at")
        )
