"""All SQL of the shared CRUD service: one statement for each shape of request, compiled once.

A caller chooses the shape of a list, so that there are more shapes than can be kept: their statements are put together
from the SQL of each filter, which is compiled once. An update is one statement, whichever fields it changes.

Columns are always named, so that tenants at different schema versions can share a connection's plans. A change is one
statement with its event: the ``WITH`` of a change returns the row, the event is inserted from what it returns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from operator import eq, ge, gt, le, lt
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CTE,
    BindParameter,
    Boolean,
    ColumnElement,
    Integer,
    Select,
    String,
    Subquery,
    Text,
    Uuid,
    all_,
    any_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    tuple_,
    type_coerce,
    union_all,
    update,
)
from sqlalchemy import Enum as EnumType

from tenants.audit.origin import Origin
from tenants.crud.filters import Filter, Operator
from tenants.crud.query import Query
from tenants.crud.rows import StoredRow, stored
from tenants.crud.sort import Sort
from tenants.database.sessions import TenantSession, TenantWork
from tenants.database.statements import CONDITIONS, Prepared, Row, Work, condition, prepare, with_conditions
from tenants.events.repository import ChangeKind, event_values, recorded
from tenants.events.service import number_later
from tenants.resources.collection import Collection

_SHAPES = 256  # statements of lists that are kept: strings, a few KB each
_COMPILED = 4096  # statements and conditions that depend on the declared resources alone
_INSERTS = 256  # a field whose default the database has can be given or not
_VALUE = "value_{}"  # a prefix, so that no column has the name of a parameter
_WHERE_ID, _WHERE_VERSIONS, _CHANGED = "where_id", "where_versions", "changed"


class After(Enum):
    """Where a page begins: at the start, after a row with a sort value, or after a row whose sort value is NULL."""

    START = "start"
    VALUE = "value"
    NULL = "null"


@dataclass(frozen=True, slots=True)
class Shape:
    """What the SQL of a list depends on. Values are never part of it."""

    filters: tuple[tuple[str, Operator], ...]
    searched: bool
    sort: Sort
    after: After


async def find(work: Work, collection: Collection, row: UUID) -> StoredRow | None:
    """The row of that id."""
    return _first(await work.rows(_find(collection), {_WHERE_ID: row}))


async def lock(session: TenantSession, collection: Collection, row: UUID) -> StoredRow | None:
    """The row of that id, locked until the end of the transaction."""
    return _first(await session.rows(_lock(collection), {_WHERE_ID: row}))


async def page(work: Work, query: Query) -> list[Row]:
    """The values of a page's rows, as in ``StoredRow``, and one row more when there is a next page."""
    listing, after = query.listing, query.after
    values: dict[str, object] = {_filter_name(number): _array(each) for number, each in enumerate(listing.filters)}
    values |= {"patterns": list(listing.search), "rows": query.limit + 1}
    if after is not None:
        values |= {"after_value": after.value, "after_id": after.id}
    return await work.rows(page_statement(listing.collection, shape_of(query)), values)


async def add(work: TenantWork, collection: Collection, values: Mapping[str, object], *, origin: Origin) -> StoredRow:
    """Insert a row and return it as stored. Raises IntegrityError, psycopg's or SQLAlchemy's."""
    (added,) = await _write(work, _insert(collection, tuple(sorted(values))), _named(values), origin)
    return stored(added)


async def change(
    work: TenantWork,
    collection: Collection,
    row: UUID,
    values: Mapping[str, object],
    versions: tuple[int, ...] | None,
    *,
    origin: Origin,
) -> StoredRow | None:
    """Update the row, if it is there and at one of ``versions`` (None: at any), and return it as stored."""
    given: dict[str, object] = dict.fromkeys((_VALUE.format(field.name) for field in collection.writable), None)
    given |= {_CHANGED: list(values)} | _named(values) | _where(row, versions)
    others = tuple(sorted(values.keys() - set(collection.resource.writable)))
    statement = _update(collection, others, conditional=versions is not None)
    return _first(await _write(work, statement, given, origin))


async def remove(
    work: TenantWork, collection: Collection, row: UUID, versions: tuple[int, ...] | None, *, origin: Origin
) -> bool:
    """Delete the row, if it is there and at one of ``versions`` (None: at any); True when it was."""
    statement = _delete(collection, conditional=versions is not None)
    return bool(await _write(work, statement, _where(row, versions), origin))


async def _write(work: TenantWork, prepared: Prepared, given: dict[str, object], origin: Origin) -> list[Row]:
    """Run a change with its event; the job that numbers the event is committed with both."""
    event = event_values(origin.actor, origin.request_id, origin.source, origin.reason)
    return await work.write(prepared, {**given, **event}, (number_later(work.tenant.id),))


def shape_of(query: Query) -> Shape:
    """The statement that a query needs."""
    listing = query.listing
    filters = tuple((each.field, each.operator) for each in listing.filters)
    if query.after is None:
        return Shape(filters, bool(listing.search), listing.sort, After.START)
    after = After.NULL if query.after.value is None else After.VALUE
    return Shape(filters, bool(listing.search), listing.sort, after)


def _filter_name(number: int) -> str:
    return f"filter_{number}"


def _array(condition: Filter) -> object:
    return list(condition.value) if isinstance(condition.value, tuple) else condition.value


def _named(values: Mapping[str, object]) -> dict[str, object]:
    return {_VALUE.format(name): value for name, value in values.items()}


def _where(row: UUID, versions: tuple[int, ...] | None) -> dict[str, object]:
    return {_WHERE_ID: row} if versions is None else {_WHERE_ID: row, _WHERE_VERSIONS: list(versions)}


def _first(rows: Sequence[Row]) -> StoredRow | None:
    return stored(rows[0]) if rows else None


# Statements


def _column(collection: Collection, name: str) -> ColumnElement[Any]:
    """The column as stored: a choice is its text, also one that only a newer release defines."""
    column = collection.table.c[name]
    return type_coerce(column, String()).label(name) if isinstance(column.type, EnumType) else column


def _columns(collection: Collection) -> list[ColumnElement[Any]]:
    return [*(_column(collection, field.name) for field in collection.fields), collection.table.c.version]


def _value(collection: Collection, name: str, parameter: str) -> BindParameter[Any]:
    return bindparam(parameter, type_=_stored_type(collection, name))


def _stored_type(collection: Collection, name: str) -> Any:
    kind = collection.table.c[name].type
    return String() if isinstance(kind, EnumType) else kind


def _is_row(collection: Collection) -> ColumnElement[bool]:
    return collection.table.c.id == bindparam(_WHERE_ID, type_=Uuid())


def _has_version(collection: Collection) -> ColumnElement[bool]:
    return collection.table.c.version == any_(bindparam(_WHERE_VERSIONS, type_=ARRAY(Integer)))


@lru_cache(_COMPILED)
def _find(collection: Collection) -> Prepared:
    return prepare(select(*_columns(collection)).where(_is_row(collection)))


@lru_cache(_COMPILED)
def _lock(collection: Collection) -> Prepared:
    return prepare(select(*_columns(collection)).where(_is_row(collection)).with_for_update())


@lru_cache(_INSERTS)
def _insert(collection: Collection, names: tuple[str, ...]) -> Prepared:
    values = {name: _value(collection, name, _VALUE.format(name)) for name in names}
    added = insert(collection.table).values(version=1, **values).returning(*_columns(collection)).cte("change")
    return _with_event(collection, ChangeKind.CREATED, before=None, after=added)


@lru_cache(_COMPILED)
def _update(collection: Collection, others: tuple[str, ...], *, conditional: bool) -> Prepared:
    """``others`` are not writable through the API: the SaaS's own code changes them."""
    table = collection.table
    values = {name: _changed(collection, name) for name in (*collection.resource.writable, *others)}
    # Not now(), the begin of the transaction: one that has waited for the row's lock would set the time back.
    changed_at = func.greatest(func.clock_timestamp(), table.c.updated_at)
    conditions = [_is_row(collection), *([_has_version(collection)] if conditional else [])]
    # Locked first: what is returned as the state before is what the UPDATE then replaces.
    before = select(*_columns(collection)).where(*conditions).with_for_update(key_share=True).cte("before")
    changes = {"version": table.c.version + 1, "updated_at": changed_at, **values}
    statement = update(table).where(table.c.id == before.c.id).values(changes)
    changed = statement.returning(*_columns(collection)).cte("change")
    return _with_event(collection, ChangeKind.UPDATED, before=before, after=changed)


def _changed(collection: Collection, name: str) -> ColumnElement[Any]:
    """The new value when the field is one of those that change, else what is stored.

    A statement for each set of changed fields would be 2^n statements of a resource with n fields.
    """
    given = literal_column(f"'{name}'", Text) == any_(bindparam(_CHANGED, type_=ARRAY(Text)))
    return case((given, _value(collection, name, _VALUE.format(name))), else_=collection.table.c[name])


@lru_cache(_COMPILED)
def _delete(collection: Collection, *, conditional: bool) -> Prepared:
    statement = delete(collection.table).where(_is_row(collection))
    if conditional:
        statement = statement.where(_has_version(collection))
    removed = statement.returning(*_columns(collection)).cte("change")
    return _with_event(collection, ChangeKind.DELETED, before=removed, after=None)


def _with_event(collection: Collection, kind: ChangeKind, *, before: CTE | None, after: CTE | None) -> Prepared:
    changed = after if after is not None else before
    event = recorded(collection.name, kind, before=before, after=after)
    return prepare(select(*(changed.c if changed is not None else ())).add_cte(event))


# Lists


@lru_cache(_SHAPES)
def page_statement(collection: Collection, shape: Shape) -> Prepared:
    """The SELECT of a page. Each part of it is served by the index of the sort column and ``id``."""
    conditions = [_condition(collection, *each) for each in shape.filters]
    names = [_filter_name(number) for number in range(len(conditions))]
    return with_conditions(_unfiltered(collection, shape.searched, shape.sort, shape.after), conditions, names)


@lru_cache(_COMPILED)
def _unfiltered(collection: Collection, searched: bool, sort: Sort, after: After) -> Prepared:  # noqa: FBT001 - cached
    conditions = [CONDITIONS, *([_found(collection)] if searched else [])]
    base = select(*_columns(collection)).where(*conditions)
    parts = [_ordered(base.where(*part), collection, sort) for part in _parts(collection, sort, after)]
    return prepare(parts[0] if len(parts) == 1 else _joined(parts, collection, sort))


def _parts(collection: Collection, sort: Sort, after: After) -> list[list[ColumnElement[bool]]]:
    """The conditions of the rows after the cursor, in order: up to two ranges of the index.

    One condition with OR would read every row before the cursor. NULL is greater than every value.
    """
    column, descending = collection.table.c[sort.field], sort.descending
    row, after_id = collection.table.c.id, bindparam("after_id", type_=Uuid())
    beyond = lt if descending else gt
    match after:
        case After.START:
            return [[]]
        case After.NULL:
            rest = [column.is_(None), beyond(row, after_id)]
            return [rest, [column.is_not(None)]] if descending else [rest]
        case After.VALUE:
            place = tuple_(_value(collection, sort.field, "after_value"), after_id)
            rest = [beyond(tuple_(column, row), place)]
            return [rest, [column.is_(None)]] if column.nullable and not descending else [rest]


def _ordered(statement: Select[Any], collection: Collection, sort: Sort) -> Select[Any]:
    columns = [collection.table.c[sort.field], collection.table.c.id]
    order = [column.desc() if sort.descending else column.asc() for column in columns]
    return statement.order_by(*order).limit(bindparam("rows", type_=Integer()))


def _joined(parts: list[Select[Any]], collection: Collection, sort: Sort) -> Select[Any]:
    numbered = [part.add_columns(literal_column(str(number)).label("part")) for number, part in enumerate(parts)]
    rows: Subquery = union_all(*numbered).subquery("rows")
    order = [rows.c[sort.field], rows.c.id]
    return (
        select(*(rows.c[each.name] for each in _columns(collection)))
        .order_by(rows.c.part, *(column.desc() if sort.descending else column.asc() for column in order))
        .limit(bindparam("rows", type_=Integer()))
    )


def _found(collection: Collection) -> ColumnElement[bool]:
    """Every pattern matches in the searchable fields; no word spans two of them."""
    text = func.concat_ws(" ", *(collection.table.c[name] for name in collection.resource.searchable))
    return text.op("ILIKE", is_comparison=True)(all_(bindparam("patterns", type_=ARRAY(Text))))


_Comparison = Callable[[ColumnElement[Any], Any], ColumnElement[bool]]
_COMPARISONS: dict[Operator, _Comparison] = {
    Operator.EQ: eq,
    Operator.NE: lambda column, value: column.is_distinct_from(value),
    Operator.GT: gt,
    Operator.GTE: ge,
    Operator.LT: lt,
    Operator.LTE: le,
    Operator.IN: lambda column, values: column == any_(values),
    Operator.CONTAINS: lambda column, pattern: column.ilike(pattern),
    Operator.STARTS_WITH: lambda column, pattern: column.ilike(pattern),
    Operator.IS_NULL: lambda column, expected: column.is_(None) == expected,
}


@lru_cache(_COMPILED)
def _condition(collection: Collection, name: str, operator: Operator) -> str:
    kind = _stored_type(collection, name)
    if operator is Operator.IN:
        kind = ARRAY(kind)
    elif operator is Operator.IS_NULL:
        kind = Boolean()
    column = type_coerce(collection.table.c[name], _stored_type(collection, name))
    return condition(_COMPARISONS[operator](column, bindparam("value", type_=kind)))
