"""The changes of a resource that has hooks: in an interactive session, since the hooks have to see what happens.

The same statements as without hooks, and so the same event; the row is locked before the hooks see it.
"""

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from tenants.audit.origin import Origin
from tenants.crud import repository
from tenants.crud.refusals import refusals
from tenants.crud.rows import StoredRow
from tenants.database.sessions import TenantSession
from tenants.errors import NotFound, PreconditionFailed
from tenants.resources.collection import Collection
from tenants.resources.hooks import Change, Hook, Verb


async def create(
    session: TenantSession, collection: Collection, row: UUID, values: Mapping[str, object], *, origin: Origin
) -> StoredRow:
    """As ``service.create``; ``values`` are complete, ``row`` is the id among them."""
    change = Change(Verb.CREATE, collection.name, row, None, values, origin.actor)
    await _run(collection.resource.before_change, session, change)
    with refusals(collection):
        added = await repository.add(session, collection, values, origin=origin)
    await _run(collection.resource.after_change, session, replace(change, after=added.named(collection)))
    return added


async def update(
    session: TenantSession,
    collection: Collection,
    row: UUID,
    changes: Mapping[str, object],
    versions: tuple[int, ...] | None,
    *,
    origin: Origin,
) -> StoredRow:
    """As ``service.update``."""
    before = await _locked(session, collection, row, versions)
    if not changes:
        return before
    known = before.named(collection)
    change = Change(Verb.UPDATE, collection.name, row, known, known | dict(changes), origin.actor)
    await _run(collection.resource.before_change, session, change)
    with refusals(collection):
        changed = await repository.change(session, collection, row, changes, None, origin=origin)
    if changed is None:  # the hook has deleted it
        raise NotFound
    await _run(collection.resource.after_change, session, replace(change, after=changed.named(collection)))
    return changed


async def delete(
    session: TenantSession, collection: Collection, row: UUID, versions: tuple[int, ...] | None, *, origin: Origin
) -> None:
    """As ``service.delete``."""
    before = await _locked(session, collection, row, versions)
    change = Change(Verb.DELETE, collection.name, row, before.named(collection), None, origin.actor)
    await _run(collection.resource.before_change, session, change)
    with refusals(collection, deleting=True):
        removed = await repository.remove(session, collection, row, None, origin=origin)
    if not removed:
        raise NotFound
    await _run(collection.resource.after_change, session, change)


async def _locked(
    session: TenantSession, collection: Collection, row: UUID, versions: tuple[int, ...] | None
) -> StoredRow:
    with refusals(collection):
        found = await repository.lock(session, collection, row)
    if found is None:
        raise NotFound
    if versions is not None and found.version not in versions:
        raise PreconditionFailed
    return found


async def _run(hook: Hook | None, session: TenantSession, change: Change) -> None:
    if hook is not None:
        await hook(session, change)
