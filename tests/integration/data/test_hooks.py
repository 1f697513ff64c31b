"""A resource's hooks run in the transaction of the change, see both states of the object, and can refuse it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import text

from examples.crm.contacts import contacts
from examples.crm.deals import deals
from tenants.audit.origin import Origin
from tenants.crud import service
from tenants.database.sessions import TenantSession, TenantWork
from tenants.errors import Conflict, NotFound, PreconditionFailed
from tenants.identifiers import new_id
from tenants.principal import Actor, ActorKind
from tenants.resources.collection import Collection, collections_of
from tenants.resources.hooks import Change, Hook
from tests.fixtures.events import events_of, queued_jobs
from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

_ACTOR = Actor(ActorKind.USER, new_id())
_ORIGIN = Origin(_ACTOR)
_COUNT = text("SELECT count(*) FROM contacts")


class Refused(Conflict):
    pass


class Recorder:
    """Hooks that note what they are given and how many contacts they see in their transaction."""

    def __init__(self, refuse: str | None = None) -> None:
        self.seen: list[tuple[str, Change, int]] = []
        self.refuse = refuse

    async def before(self, session: TenantSession, change: Change) -> None:
        await self._note("before", session, change)

    async def after(self, session: TenantSession, change: Change) -> None:
        await self._note("after", session, change)

    async def _note(self, when: str, session: TenantSession, change: Change) -> None:
        self.seen.append((when, change, (await session.execute(_COUNT)).scalar_one()))
        if self.refuse == f"{when} {change.verb}":
            await session.execute(text("UPDATE contacts SET notes = 'by a hook'"))
            raise Refused


def _hooked(before: Hook | None = None, after: Hook | None = None) -> Collection:
    """The example's contacts, with these hooks."""
    collection, _ = collections_of((replace(contacts, before_change=before, after_change=after), deals))
    return collection


@asynccontextmanager
async def _alone(gateway: Gateway) -> AsyncIterator[TenantWork]:
    yield gateway.services.database.statements(gateway.acme.ref)


@asynccontextmanager
async def _in_a_session(gateway: Gateway) -> AsyncIterator[TenantWork]:
    async with gateway.services.database.tenant(gateway.acme.ref) as session:
        yield session


@pytest.mark.parametrize("way", [_alone, _in_a_session])
async def test_hooks_see_each_change_before_and_after_it(gateway: Gateway, way: type) -> None:
    """With both states of the object; the events are those of a resource without hooks."""
    recorder = Recorder()
    collection = _hooked(recorder.before, recorder.after)
    async with way(gateway) as work:
        made = await service.create(work, collection, {"name": "Ada"}, origin=_ORIGIN)
        changed = await service.update(work, collection, made.id, {"company": "x"}, (1,), origin=_ORIGIN)
        assert await service.update(work, collection, made.id, {}, (2,), origin=_ORIGIN) == changed
        await service.delete(work, collection, made.id, (2,), origin=_ORIGIN)
    steps = [(when, change.verb.value, count) for when, change, count in recorder.seen]
    assert steps == [
        *(("before", "create", 0), ("after", "create", 1)),
        *(("before", "update", 1), ("after", "update", 1)),
        *(("before", "delete", 1), ("after", "delete", 0)),
    ]
    changes = [change for _, change, _ in recorder.seen]
    assert {(change.object_id, change.resource, change.actor) for change in changes} == {(made.id, "contacts", _ACTOR)}
    assert changes[0].before is changes[1].before is changes[4].after is changes[5].after is None
    assert changes[1].after == changes[2].before == changes[3].before == made.named(collection)
    assert changes[2].after == made.named(collection) | {"company": "x"}
    assert changes[3].after == changes[4].before == changed.named(collection)
    assert [event["type"] for event in events_of(gateway.urls, gateway.acme.ref)] == [
        *("contacts.created", "contacts.updated", "contacts.deleted"),
    ]
    assert len(queued_jobs(gateway.urls)) == (1 if way is _in_a_session else 3)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("verb", ["create", "update", "delete"])
async def test_a_hook_that_refuses_undoes_the_whole_change(gateway: Gateway, when: str, verb: str) -> None:
    """What the hook itself wrote included: neither row nor event nor job."""
    work = gateway.services.database.statements(gateway.acme.ref)
    kept = await service.create(work, _hooked(), {"name": "Ada"}, origin=_ORIGIN)
    before = events_of(gateway.urls, gateway.acme.ref), queued_jobs(gateway.urls)
    recorder = Recorder(refuse=f"{when} {verb}")
    with pytest.raises(Refused):
        await _change(work, _hooked(recorder.before, recorder.after), verb, kept.id)
    assert await service.read(work, _hooked(), kept.id) == kept
    assert (events_of(gateway.urls, gateway.acme.ref), queued_jobs(gateway.urls)) == before


async def _change(work: TenantWork, collection: Collection, verb: str, row: object) -> None:
    assert isinstance(row, type(new_id()))
    match verb:
        case "create":
            await service.create(work, collection, {"name": "Grace"}, origin=_ORIGIN)
        case "update":
            await service.update(work, collection, row, {"company": "x"}, None, origin=_ORIGIN)
        case _:
            await service.delete(work, collection, row, None, origin=_ORIGIN)


async def test_a_change_that_is_impossible_runs_no_hook(gateway: Gateway) -> None:
    """The row is looked for, and its version compared, first."""
    recorder = Recorder()
    collection = _hooked(recorder.before, recorder.after)
    work = gateway.services.database.statements(gateway.acme.ref)
    made = await service.create(work, _hooked(), {"name": "Ada"}, origin=_ORIGIN)
    with pytest.raises(NotFound):
        await service.update(work, collection, new_id(), {"company": "x"}, None, origin=_ORIGIN)
    with pytest.raises(NotFound):
        await service.delete(work, collection, new_id(), None, origin=_ORIGIN)
    with pytest.raises(PreconditionFailed):
        await service.update(work, collection, made.id, {"company": "x"}, (7,), origin=_ORIGIN)
    with pytest.raises(PreconditionFailed):
        await service.delete(work, collection, made.id, (7,), origin=_ORIGIN)
    assert recorder.seen == []


async def test_a_row_that_the_hook_deletes_is_not_found(gateway: Gateway) -> None:
    """The hook may write in the session; the change then finds what the hook has left."""

    async def delete(session: TenantSession, _change: Change) -> None:
        await session.execute(text("DELETE FROM contacts"))

    work = gateway.services.database.statements(gateway.acme.ref)
    made = await service.create(work, _hooked(), {"name": "Ada"}, origin=_ORIGIN)
    with pytest.raises(NotFound):
        await service.update(work, _hooked(before=delete), made.id, {"company": "x"}, None, origin=_ORIGIN)
    with pytest.raises(NotFound):
        await service.delete(work, _hooked(before=delete), made.id, None, origin=_ORIGIN)
    assert (await service.read(work, _hooked(), made.id)).version == 1
