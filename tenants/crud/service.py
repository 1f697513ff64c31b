"""The five verbs, the same for every declared resource. None commits: the ``Work`` that they are given does.

That is one statement in a transaction of its own, in one round trip, for a verb that is all of a request; or a
TenantSession, for one that must be committed together with others.

Rows are tuples in the order of ``Collection.fields``, with the version at their end. An id that is another tenant's is
in no table that the tenant's role can see, so that it is unknown here without any rule of ours (AZ4).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from tenants import identifiers
from tenants.crud import repository
from tenants.crud.pages import Cursors, Position
from tenants.crud.query import Query
from tenants.crud.refusals import refusals
from tenants.database.statements import Row, Work
from tenants.errors import NotFound, PreconditionFailed
from tenants.identifiers import new_id
from tenants.resources.collection import Collection


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, and the cursor of the next when there is one."""

    rows: Sequence[Row]
    next_cursor: str | None


def row_id(collection: Collection, text: str) -> UUID:
    """The id that a path holds. Raises NotFound: what cannot be an id of this resource is none."""
    value = identifiers.read(collection.resource.singular, text)
    if value is None:
        raise NotFound
    return value


async def create(work: Work, collection: Collection, values: Mapping[str, object]) -> Row:
    """A new row. Raises Conflict and ValidationFailed for what only the database can know."""
    with refusals(collection):
        return await repository.add(work, collection, {"id": new_id(), **_complete(collection, values)})


async def read(work: Work, collection: Collection, row: UUID) -> Row:
    """The row. Raises NotFound."""
    with refusals(collection):
        found = await repository.find(work, collection, row)
    if found is None:
        raise NotFound
    return found


async def list_page(work: Work, query: Query, cursors: Cursors) -> Page:
    """A page of the list, in its order."""
    collection, sort = query.listing.collection, query.listing.sort
    with refusals(collection):
        rows = await repository.page(work, query)
    if len(rows) <= query.limit:
        return Page(rows, None)
    last = rows[query.limit - 1]
    place = [field.name for field in collection.fields].index(sort.field)
    return Page(rows[: query.limit], cursors.write(query.listing, Position(last[place], last[0])))


async def update(
    work: Work,
    collection: Collection,
    row: UUID,
    changes: Mapping[str, object],
    versions: tuple[int, ...] | None,
) -> Row:
    """Change the row when it is at one of ``versions`` (None: at any). No changes change nothing, the version included.

    Raises NotFound, PreconditionFailed, Conflict and ValidationFailed.
    """
    with refusals(collection):
        if changes:
            changed = await repository.change(work, collection, row, changes, versions)
            if changed is not None:
                return changed
        found = await repository.find(work, collection, row)
    if found is None:
        raise NotFound
    if changes or (versions is not None and found[-1] not in versions):
        raise PreconditionFailed
    return found


async def delete(work: Work, collection: Collection, row: UUID, versions: tuple[int, ...] | None) -> None:
    """Delete the row when it is at one of ``versions`` (None: at any).

    Raises NotFound, PreconditionFailed, and Conflict while other rows refer to it.
    """
    with refusals(collection, deleting=True):
        if await repository.remove(work, collection, row, versions):
            return
        found = await repository.find(work, collection, row)
    raise NotFound if found is None else PreconditionFailed


def _complete(collection: Collection, values: Mapping[str, object]) -> dict[str, object]:
    """One statement serves nearly every creation: what was left out is given its default, or NULL."""
    empty = {field.name: None for field in collection.writable if field.nullable and not field.has_default}
    given = {name: make() for name, make in collection.defaults.items() if name not in values}
    return {**empty, **given, **values}
