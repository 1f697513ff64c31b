"""Every change of the shared CRUD service writes its event and defers a job, in its own transaction and round trip."""

from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from tenants.audit.origin import SYSTEM, Origin
from tenants.crud import service
from tenants.errors import NotFound, PreconditionFailed, ValidationFailed
from tenants.identifiers import new_id, read
from tenants.principal import Actor, ActorKind
from tenants.resources.registry import load_registry
from tests.fixtures.events import events_of, queued_jobs
from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

_CRM = load_registry("examples.crm.resources")
_CONTACTS, _DEALS = _CRM["contacts"], _CRM["deals"]
_ORIGIN = Origin(Actor(ActorKind.USER, UUID(int=7)), "req_7", "203.0.113.7")


async def test_each_change_has_one_event_with_both_states(gateway: Gateway) -> None:
    """Who changed which object from what to what; in the order of the changes, and not numbered by the writer."""
    work = gateway.services.database.statements(gateway.acme.ref)
    made = await service.create(work, _CONTACTS, {"name": "Ada", "value_cents": 2**40}, origin=_ORIGIN)
    await service.update(work, _CONTACTS, made.id, {"company": "x"}, (1,), origin=_ORIGIN)
    await service.update(work, _CONTACTS, made.id, {}, None, origin=_ORIGIN)  # changes nothing, so there is no event
    await service.delete(work, _CONTACTS, made.id, None, origin=SYSTEM)
    created, updated, deleted = events_of(gateway.urls, gateway.acme.ref)
    assert [event["type"] for event in (created, updated, deleted)] == [
        *("contacts.created", "contacts.updated", "contacts.deleted"),
    ]
    assert {event["object_id"] for event in (created, updated, deleted)} == {made.id}
    assert {event["sequence"] for event in (created, updated, deleted)} == {None}
    assert (updated["actor_kind"], updated["actor_id"]) == ("user", UUID(int=7))
    assert (updated["request_id"], updated["source"], updated["reason"]) == ("req_7", "203.0.113.7", None)
    assert {event["category"] for event in (created, updated, deleted)} == {"data"}
    assert (deleted["actor_kind"], deleted["actor_id"]) == ("system", None)
    assert created["before"] is deleted["after"] is None
    assert created["after"] == updated["before"]
    assert updated["after"] == deleted["before"]
    changed = {name for name, value in updated["after"].items() if updated["before"][name] != value}
    assert changed == {"company", "version", "updated_at"}
    assert (created["after"]["name"], created["after"]["value_cents"]) == ("Ada", 2**40)
    assert set(created["after"]) == {*(field.name for field in _CONTACTS.fields), "version"}


async def test_the_actor_is_the_principal_of_the_request(gateway: Gateway) -> None:
    """An API key here; the job that numbers the event waits in the outbox queue."""
    answer = await gateway.client.post("/v1/contacts", json={"name": "Ada"}, headers=gateway.acme.key())
    (event,) = events_of(gateway.urls, gateway.acme.ref)
    me = (await gateway.client.get("/v1/me", headers=gateway.acme.key())).json()
    assert (event["actor_kind"], event["actor_id"]) == ("api_key", read("key", me["principal"]["id"]))
    assert (event["request_id"], event["source"]) == (answer.headers["x-request-id"], "127.0.0.1")
    assert event["object_id"] == read("contact", answer.json()["id"])
    assert queued_jobs(gateway.urls) == [("outbox", "events.number", {"tenant": str(gateway.acme.ref.id)})]
    assert events_of(gateway.urls, gateway.globex.ref) == []


async def test_a_change_that_is_refused_has_no_event(gateway: Gateway) -> None:
    """Neither an unknown reference nor a stale version nor a missing row."""
    work = gateway.services.database.statements(gateway.acme.ref)
    made = await service.create(work, _CONTACTS, {"name": "Ada"}, origin=_ORIGIN)
    with pytest.raises(ValidationFailed):
        await service.create(work, _DEALS, {"title": "Engine", "contact_id": new_id()}, origin=_ORIGIN)
    with pytest.raises(PreconditionFailed):
        await service.update(work, _CONTACTS, made.id, {"company": "x"}, (7,), origin=_ORIGIN)
    with pytest.raises(PreconditionFailed):
        await service.delete(work, _CONTACTS, made.id, (7,), origin=_ORIGIN)
    with pytest.raises(NotFound):
        await service.delete(work, _CONTACTS, new_id(), None, origin=_ORIGIN)
    assert [event["type"] for event in events_of(gateway.urls, gateway.acme.ref)] == ["contacts.created"]


async def test_a_session_writes_the_same_events_and_one_job(gateway: Gateway) -> None:
    """Three changes in one transaction: three events, one job, all of it or nothing."""
    async with gateway.services.database.tenant(gateway.acme.ref) as session:
        made = await service.create(session, _CONTACTS, {"name": "Ada"}, origin=_ORIGIN)
        await service.update(session, _CONTACTS, made.id, {"company": "x"}, None, origin=_ORIGIN)
        await service.delete(session, _CONTACTS, made.id, None, origin=_ORIGIN)
        assert not events_of(gateway.urls, gateway.acme.ref)
        assert not queued_jobs(gateway.urls)
    assert len(events_of(gateway.urls, gateway.acme.ref)) == 3
    assert len(queued_jobs(gateway.urls)) == 1


async def test_a_tenants_role_can_neither_number_nor_change_events(gateway: Gateway) -> None:
    """AU1: append-only, and only the owner's function sets the number."""
    work = gateway.services.database.statements(gateway.acme.ref)
    await service.create(work, _CONTACTS, {"name": "Ada"}, origin=_ORIGIN)
    for statement in (
        "UPDATE tenantry_events SET sequence = 1",
        "UPDATE tenantry_events SET type = 'x'",
        "DELETE FROM tenantry_events",
        "TRUNCATE tenantry_events",
        "INSERT INTO tenantry_events (id, type, sequence) SELECT id, 'x', 1 FROM contacts",
        "INSERT INTO tenantry_events (id, type, created_at) SELECT id, 'x', now() FROM contacts",
        "INSERT INTO tenantry_events (id, type, hash) SELECT id, 'x', '' FROM contacts",
        "INSERT INTO tenantry_events (id, type, category) SELECT id, 'x', 'management' FROM contacts",
        "UPDATE tenantry_events SET hash = NULL",
        "SELECT tenantry.number_events(gen_random_uuid(), 1)",
    ):
        with pytest.raises(Exception, match="permission denied"):
            await _execute(gateway, statement)
    assert len(events_of(gateway.urls, gateway.acme.ref)) == 1


async def _execute(gateway: Gateway, statement: str) -> None:
    async with gateway.services.database.tenant(gateway.acme.ref) as session:
        await session.execute(text(statement))


async def test_no_data_write_sends_a_notify(gateway: Gateway) -> None:
    """A commit that has sent one takes a lock over the whole server, behind which all others wait."""
    work = gateway.services.database.statements(gateway.acme.ref)
    async with await psycopg.AsyncConnection.connect(gateway.urls.superuser, autocommit=True) as listener:
        for channel in ("procrastinate_any_queue_v1", '"procrastinate_queue_v1#outbox"', "tenantry_changes"):
            await listener.execute(f"LISTEN {channel}".encode())
        made = await service.create(work, _CONTACTS, {"name": "Ada"}, origin=_ORIGIN)
        await service.update(work, _CONTACTS, made.id, {"company": "x"}, None, origin=_ORIGIN)
        await service.delete(work, _CONTACTS, made.id, None, origin=_ORIGIN)
        await listener.execute("SELECT pg_notify('tenantry_changes', 'end')")
        heard = [each.payload async for each in listener.notifies(timeout=1, stop_after=1)]
    assert heard == ["end"]
    assert _history(gateway) == 0


def _history(gateway: Gateway) -> int:
    """Rows that the library's triggers have written about jobs."""
    with psycopg.connect(gateway.urls.superuser) as superuser:
        row = superuser.execute("SELECT count(*) FROM tenantry.procrastinate_events").fetchone()
    return row[0] if row else -1
