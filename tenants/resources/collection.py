"""A resource prepared for serving: fields by name, references resolved."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from sqlalchemy import Table

from tenants.resources.declaration import BASE_COLUMNS
from tenants.resources.defaults import default_of
from tenants.resources.errors import DeclarationError
from tenants.resources.fields import Field, FieldKind
from tenants.resources.resource import Resource
from tenants.resources.uniqueness import unique_constraints

VERBS = ("read", "create", "update", "delete")


@dataclass(frozen=True, eq=False)
class Collection:
    """The source of filters, statements, models and routes. Compared by identity; one per resource."""

    resource: Resource
    fields: tuple[Field, ...]

    @property
    def name(self) -> str:
        return self.resource.name

    @property
    def table(self) -> Table:
        return self.resource.table

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        return {field.name: field for field in self.fields}

    @cached_property
    def writable(self) -> tuple[Field, ...]:
        return tuple(self.by_name[name] for name in self.resource.writable)

    @cached_property
    def required(self) -> frozenset[str]:
        """Names of the fields that a create request must contain."""
        needed = (field.name for field in self.writable if not field.nullable and not field.has_default)
        return frozenset((*needed, *self.resource.required))

    @cached_property
    def defaults(self) -> Mapping[str, Callable[[], object]]:
        """Default values that the model, not the database, defines for omitted fields."""
        given = ((column.name, column.default) for column in self.table.columns)
        return {
            name: default_of(default) for name, default in given if default is not None and name not in BASE_COLUMNS
        }

    @cached_property
    def filterable(self) -> Mapping[str, Field]:
        return {name: self.by_name[name] for name in self.resource.filterable}

    @cached_property
    def sortable(self) -> Mapping[str, Field]:
        return {name: self.by_name[name] for name in self.resource.sortable}

    @cached_property
    def unique(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the fields in each unique constraint, by the name that PostgreSQL reports when it is violated."""
        return {
            name: tuple(field for field in fields if field in self.by_name)
            for name, fields in unique_constraints(self.table)
        }

    @cached_property
    def fingerprint(self) -> bytes:
        """A hash of the response format, so that an ETag from before a release never matches."""
        shape = repr([self.name, *((field.name, field.kind.value, field.prefix) for field in self.fields)])
        return hashlib.blake2b(shape.encode(), digest_size=8).digest()

    @property
    def permissions(self) -> tuple[str, ...]:
        """``contacts:read`` and so on, one per verb in VERBS."""
        return tuple(f"{self.name}:{verb}" for verb in VERBS)


def collections_of(resources: Iterable[Resource]) -> tuple[Collection, ...]:
    """Resolve references. Raises DeclarationError for name clashes and unresolved references."""
    declared = tuple(resources)
    faults = [fault for what in ("name", "singular", "table") for fault in _clashes(declared, what)]
    prefixes = {resource.table.name: resource.singular for resource in declared}
    faults += [
        f"{resource.name}.{field.name} refers to the table {field.target!r}, which belongs to no declared resource"
        for resource in declared
        for field in resource.fields
        if field.kind is FieldKind.REFERENCE and field.target not in prefixes
    ]
    if faults:
        raise DeclarationError("RESOURCES", *faults)
    return tuple(
        Collection(resource, tuple(_resolved(field, resource, prefixes) for field in resource.fields))
        for resource in declared
    )


def _clashes(resources: tuple[Resource, ...], what: str) -> list[str]:
    seen = [str(getattr(resource, what)) for resource in resources]
    return [f"two resources have the {what} {value!r}" for value in sorted({v for v in seen if seen.count(v) > 1})]


def _resolved(field: Field, resource: Resource, prefixes: Mapping[str, str]) -> Field:
    if field.kind is FieldKind.ID:
        return replace(field, prefix=resource.singular)
    return replace(field, prefix=prefixes[field.target]) if field.kind is FieldKind.REFERENCE else field
