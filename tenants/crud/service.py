"""The five verbs, the same for every declared resource. None commits: the work that they are given does.

That is ``Database.statements``, where each verb is a transaction of its own in one round trip, or a TenantSession, for
verbs that must be committed together. A change and its event are one statement, and the job that numbers the event is
part of the same transaction. A resource with hooks has its changes in a session either way.

An id of another tenant is in no table that the tenant's role can see, so that it is unknown here without a rule of its
own (AZ4).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from tenants import identifiers
from tenants.audit.origin import Origin
from tenants.crud import hooked, repository
from tenants.crud.pages import Cursors, Position
from tenants.crud.query import Query
from tenants.crud.refusals import refusals
from tenants.crud.rows import StoredRow, stored
from tenants.database.sessions import TenantWork
from tenants.database.statements import Row, Work
from tenants.errors import NotFound, PreconditionFailed
from tenants.identifiers import new_id
from tenants.resources.collection import Collection


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, and the cursor of the next when there is one.

    Rows are as ``StoredRow.values``: an object for each would cost a page of 50 some 30 µs (6 %).
    """

    rows: Sequence[Row]
    next_cursor: str | None


def row_id(collection: Collection, text: str) -> UUID:
    """The id in a path. Raises NotFound also for a text that cannot be an id of this resource."""
    value = identifiers.read(collection.resource.singular, text)
    if value is None:
        raise NotFound
    return value


async def create(
    work: TenantWork, collection: Collection, values: Mapping[str, object], *, origin: Origin
) -> StoredRow:
    """A new row. Raises Conflict and ValidationFailed for what only the database can check."""
    row = new_id()
    complete = {"id": row, **_complete(collection, values)}
    if collection.resource.has_hooks:
        async with work.session() as session:
            return await hooked.create(session, collection, row, complete, origin=origin)
    with refusals(collection):
        return await repository.add(work, collection, complete, origin=origin)


async def read(work: Work, collection: Collection, row: UUID) -> StoredRow:
    """The row. Raises NotFound."""
    with refusals(collection):
        found = await repository.find(work, collection, row)
    if found is None:
        raise NotFound
    return found


async def list_page(work: Work, query: Query, cursors: Cursors) -> Page:
    """A page of the list, in its order."""
    collection = query.listing.collection
    with refusals(collection):
        rows = await repository.page(work, query)
    if len(rows) <= query.limit:
        return Page(rows, None)
    last = stored(rows[query.limit - 1])
    position = Position(last.value_of(collection, query.listing.sort.field), last.id)
    return Page(rows[: query.limit], cursors.write(query.listing, position))


async def update(
    work: TenantWork,
    collection: Collection,
    row: UUID,
    changes: Mapping[str, object],
    versions: tuple[int, ...] | None,
    *,
    origin: Origin,
) -> StoredRow:
    """Change the row when it is at one of ``versions`` (None: at any). No changes change nothing, the version included.

    Raises NotFound, PreconditionFailed, Conflict and ValidationFailed.
    """
    if collection.resource.has_hooks:
        async with work.session() as session:
            return await hooked.update(session, collection, row, changes, versions, origin=origin)
    with refusals(collection):
        if changes:
            changed = await repository.change(work, collection, row, changes, versions, origin=origin)
            if changed is not None:
                return changed
        found = await repository.find(work, collection, row)
    if found is None:
        raise NotFound
    if changes or (versions is not None and found.version not in versions):
        raise PreconditionFailed
    return found


async def delete(
    work: TenantWork, collection: Collection, row: UUID, versions: tuple[int, ...] | None, *, origin: Origin
) -> None:
    """Delete the row when it is at one of ``versions`` (None: at any).

    Raises NotFound, PreconditionFailed, and Conflict while other rows refer to it.
    """
    if collection.resource.has_hooks:
        async with work.session() as session:
            return await hooked.delete(session, collection, row, versions, origin=origin)
    with refusals(collection, deleting=True):
        if await repository.remove(work, collection, row, versions, origin=origin):
            return None
        found = await repository.find(work, collection, row)
    raise NotFound if found is None else PreconditionFailed


def _complete(collection: Collection, values: Mapping[str, object]) -> dict[str, object]:
    """One statement serves nearly every creation: a field that was left out gets its default, or NULL."""
    empty = {field.name: None for field in collection.writable if field.nullable and not field.has_default}
    given = {name: make() for name, make in collection.defaults.items() if name not in values}
    return {**empty, **given, **values}
