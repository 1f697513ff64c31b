"""Validates a declaration when its module is imported, before the first request."""

import re
from collections.abc import Iterator
from itertools import takewhile

from sqlalchemy import Column, Enum, Index, Table, UniqueConstraint, inspect
from sqlalchemy.sql.schema import DefaultGenerator

from tenants.database.base import TenantModel
from tenants.database.names import OWN_TABLES
from tenants.resources.costs import faults_of_costs
from tenants.resources.declaration import BASE_COLUMNS, Declaration
from tenants.resources.defaults import default_of
from tenants.resources.fields import Field, FieldKind, Rule, UnsupportedColumn, describe
from tenants.resources.hooks import faults_of_hook

LIST_PARAMETERS = ("limit", "cursor", "sort", "q")
# Paths that Tenantry itself serves under /v1, and the prefixes of its own ids.
RESERVED_NAMES = frozenset(
    (
        *("me", "tenant", "members", "invitations", "roles", "permissions", "api_keys", "audit_events", "usage"),
        *("webhook_endpoints", "webhooks", "events", "files", "billing", "decisions", "auth"),
    )
)
RESERVED_PREFIXES = frozenset(("tnt", "usr", "key", "opk", "rol", "inv", "whk", "evt", "fil", "req"))
# A B-tree entry takes at most 2,704 bytes, and 500 characters of UTF-8 at most 2,000; the cursor carries the value too.
_LONGEST_SORTABLE = 500

_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}", re.ASCII)  # one path segment without a hyphen
_PREFIX = re.compile(r"[a-z]([a-z_]{0,48}[a-z])?", re.ASCII)  # TypeID specification 0.3
_LISTS = ("writable", "filterable", "sortable", "searchable", "required", "hidden", "rules")


def faults_of(resource: Declaration) -> Iterator[str]:
    """All errors of a declaration, each with what to write instead."""
    yield from _name_faults(resource)
    yield from faults_of_costs(resource.costs)
    yield from faults_of_hook("before_change", resource.before_change)
    yield from faults_of_hook("after_change", resource.after_change)
    fault = _model_fault(resource)
    if fault:
        yield fault
        return
    unknown = [*_unknown_names(resource)]
    yield from unknown
    if not unknown:
        yield from _list_faults(resource)
        yield from _column_faults(resource)


def _name_faults(resource: Declaration) -> Iterator[str]:
    if not _NAME.fullmatch(resource.name):
        yield "name must be lower-case letters, digits and underscores, such as 'contacts'"
    if resource.name in RESERVED_NAMES:
        yield f"name {resource.name!r} is reserved; choose another"
    if not _PREFIX.fullmatch(resource.singular):
        yield "singular must be lower-case letters with underscores between them, such as 'contact'"
    if resource.singular in RESERVED_PREFIXES:
        yield f"singular {resource.singular!r} is reserved for Tenantry's own ids; choose another"


def _model_fault(resource: Declaration) -> str | None:
    model: object = resource.model  # not checked by the type of the declaration
    if not (isinstance(model, type) and issubclass(model, TenantModel)) or inspect(model, raiseerr=False) is None:
        return "model must be a mapped subclass of TenantModel"
    if not isinstance(model.__table__, Table) or model.__table__.schema is not None:
        return "model must be mapped to one table without a schema: search_path selects the tenant's schema"
    if model.__table__.name.startswith(OWN_TABLES):
        return f"tables that begin with {OWN_TABLES!r} are Tenantry's own; choose another name"
    if [column.name for column in model.__table__.primary_key] != ["id"]:
        return "the primary key must be TenantModel's id alone"
    return None


def _unknown_names(resource: Declaration) -> Iterator[str]:
    columns = resource.table.columns
    for which in _LISTS:
        yield from (
            f"{which} names {name!r}, which is not a column" for name in getattr(resource, which) if name not in columns
        )


def _list_faults(resource: Declaration) -> Iterator[str]:
    for which in _LISTS:
        names = tuple(getattr(resource, which))
        yield from (f"{which} names {name!r} twice" for name in sorted({n for n in names if names.count(n) > 1}))
    for which in ("filterable", "sortable", "searchable"):
        closed = {*resource.hidden, "version"}
        yield from (
            f"{which} names {name!r}, which is in no response" for name in getattr(resource, which) if name in closed
        )
    yield from (
        f"writable names {name!r}, which Tenantry sets itself" for name in resource.writable if name in BASE_COLUMNS
    )
    yield from (
        f"hidden names {name!r}, which every response contains" for name in resource.hidden if name in BASE_COLUMNS
    )
    for name in resource.required:
        if name not in resource.writable:
            yield f"required names {name!r}, which is not writable"
    for name in resource.filterable:
        if name in LIST_PARAMETERS:
            yield f"filterable names {name!r}, which is a parameter of every list"
    if resource.default_sort.removeprefix("-") not in resource.sortable:
        yield f"default_sort {resource.default_sort!r} is not among sortable"


def _column_faults(resource: Declaration) -> Iterator[str]:
    for column in resource.table.columns:
        for fault in _faults_of_column(resource, column):
            yield f"column {column.name!r} {fault}"
    for constraint in resource.table.constraints:
        if isinstance(constraint, UniqueConstraint) and constraint.deferrable:
            yield f"constraint {constraint.name} is deferrable and would fail after the response; remove deferrable"


def _faults_of_column(resource: Declaration, column: Column[object]) -> Iterator[str]:
    name = column.name
    has_value = (
        column.nullable or column.default is not None or column.server_default is not None or name in BASE_COLUMNS
    )
    if name not in resource.writable and not has_value:
        yield "is neither writable nor nullable and has no default: no row could be created"
    if column.default is not None:
        yield from _default_faults(column, column.default)
    if column.onupdate is not None and name not in BASE_COLUMNS:
        yield "has onupdate, which the CRUD service does not run; remove it"
    if name in {*resource.hidden, "version"}:
        return
    try:
        field = describe(column, resource.rules.get(name, Rule()))
    except UnsupportedColumn as error:
        yield str(error)
    else:
        yield from _faults_of_field(resource, field)


def _default_faults(column: Column[object], default: DefaultGenerator) -> Iterator[str]:
    if not (default.is_scalar or default.is_callable):
        yield "has a SQL default; write server_default"
    elif isinstance(column.type, Enum) and default_of(default)() not in column.type.enums:
        yield "has a default that is not one of its choices"


def _faults_of_field(resource: Declaration, field: Field) -> Iterator[str]:
    text = field.kind is FieldKind.TEXT
    number = field.kind in (FieldKind.INTEGER, FieldKind.DECIMAL)
    if field.name in resource.searchable and not text:
        yield "is searchable, but not text"
    if (field.rule.pattern is not None or field.rule.min_length) and not text:
        yield "has a rule for text, but is not text"
    if (field.rule.minimum is not None or field.rule.maximum is not None) and not number:
        yield "has a rule for numbers, but is not a number"
    if field.name in resource.sortable:
        yield from _sort_faults(resource, field)
    if field.kind is FieldKind.REFERENCE and not _indexed(resource.table, (field.name,)):
        yield f"is a foreign key without an index; add Index(None, {field.name!r})"


def _sort_faults(resource: Declaration, field: Field) -> Iterator[str]:
    if field.kind is FieldKind.TEXT and not 0 < (field.max_length or 0) <= _LONGEST_SORTABLE:
        yield f"is sortable text without a small bound; write String(n) with n up to {_LONGEST_SORTABLE}"
    if field.kind is not FieldKind.ID and not _indexed(resource.table, (field.name, "id")):
        # Without the index the last page costs as much as all previous pages together.
        yield f'is sortable without an index; add Index(None, {field.name!r}, "id") to __table_args__'


def _indexed(table: Table, names: tuple[str, ...]) -> bool:
    """Whether a plain, complete B-tree index starts with these columns."""
    return any(_plain_columns(index)[: len(names)] == names for index in table.indexes)


def _plain_columns(index: Index) -> tuple[str, ...]:
    options = index.dialect_options["postgresql"]
    whole = options["where"] is None and options["using"] in (False, None, "", "btree")
    plain = takewhile(lambda each: isinstance(each, Column), index.expressions)
    return tuple(each.name for each in plain if isinstance(each, Column)) if whole else ()
