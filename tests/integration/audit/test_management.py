"""Every change of management has its row, in its own transaction (AU1), with no secret in it (SE2)."""

import contextlib
import json
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

from tenants.audit import service as audit
from tenants.audit.origin import SYSTEM, Origin
from tenants.errors import NotFound
from tenants.identifiers import TenantId, new_id, read, show
from tenants.principal import Actor, ActorKind
from tenants.roles.schemas import CreateRole
from tests.fixtures.audit import tamper
from tests.fixtures.events import events_of, queued_jobs
from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

_KEYS, _ROLES, _MEMBERS = "/v1/api-keys", "/v1/roles", "/v1/members"


async def _do(gateway: Gateway, method: str, path: str, body: object = None, by: Any = None) -> Any:
    answer = await gateway.client.request(method, path, json=body, headers=by or gateway.acme.key("owner"))
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def _types(gateway: Gateway) -> list[str]:
    return [event["type"] for event in events_of(gateway.urls, gateway.acme.ref)]


async def test_changes_of_keys_are_recorded_without_their_secrets(gateway: Gateway) -> None:
    """AU1, SE2: who, from where, by which request, before and after; repeating a revocation changes nothing."""
    made = await _do(gateway, "POST", _KEYS, {"name": "import", "role": "viewer"})
    rotated = await _do(gateway, "POST", f"{_KEYS}/{made['id']}/rotate", {"overlap_seconds": 60})
    for _ in range(2):
        await _do(gateway, "POST", f"{_KEYS}/{rotated['id']}/revoke")
    events = events_of(gateway.urls, gateway.acme.ref)
    assert [event["type"] for event in events] == [
        *("api_keys.created", "api_keys.rotated", "api_keys.created", "api_keys.revoked"),
    ]
    created, ended, successor, revoked = events
    me = await _do(gateway, "GET", "/v1/me")
    for event in events:
        assert (event["actor_kind"], event["actor_id"]) == ("api_key", read("key", me["principal"]["id"]))
        assert (event["source"], event["category"]) == ("127.0.0.1", "management")
        assert event["request_id"].startswith("req_")
    assert [show("key", event["object_id"]) for event in events] == [made["id"], made["id"], *[rotated["id"]] * 2]
    assert created["before"] is None
    unrecorded = {"secret", "requests", "last_used_at", "last_used_from"}  # use is no change
    assert created["after"] == {name: value for name, value in made.items() if name not in unrecorded}
    assert (ended["before"]["expires_at"], ended["after"]["expires_at"] is None) == (None, False)
    assert successor["after"]["rotated_from"] == made["id"]
    assert (revoked["before"]["revoked_at"], revoked["after"]["revoked_at"] is None) == (None, False)
    stored = json.dumps(events, default=str)
    assert made["secret"] not in stored
    assert rotated["secret"] not in stored
    assert "digest" not in stored


async def test_changes_of_roles_and_members_are_recorded(gateway: Gateway) -> None:
    """AU1: a PATCH that changes nothing has no row."""
    role = await _do(gateway, "POST", _ROLES, {"name": "support", "permissions": ["contacts:read"]})
    for _ in range(2):
        await _do(gateway, "PATCH", f"{_ROLES}/{role['id']}", {"permissions": ["usage:read"]})
    await _do(gateway, "DELETE", f"{_ROLES}/{role['id']}")
    members = (await _do(gateway, "GET", _MEMBERS))["data"]
    viewer = next(each for each in members if each["roles"] == ["viewer"])
    for _ in range(2):
        await _do(gateway, "PATCH", f"{_MEMBERS}/{viewer['id']}", {"roles": ["member"]})
    await _do(gateway, "DELETE", f"{_MEMBERS}/{viewer['id']}")
    events = {event["type"]: event for event in events_of(gateway.urls, gateway.acme.ref)}
    assert _types(gateway) == [
        *("roles.created", "roles.updated", "roles.deleted", "members.updated", "members.removed"),
    ]
    assert events["roles.updated"]["before"]["permissions"] == ["contacts:read"]
    assert events["roles.updated"]["after"]["permissions"] == ["usage:read"]
    assert events["roles.deleted"]["after"] is None
    assert events["members.updated"]["before"]["roles"] == ["viewer"]
    assert events["members.updated"]["after"]["roles"] == events["members.removed"]["before"]["roles"] == ["member"]


async def test_what_operators_do_is_in_the_tenants_log(gateway: Gateway) -> None:
    """Plan, suspension and resumption, with the operator key as the actor; a new tenant's log begins with it."""
    path = f"/operator/v1/tenants/{show('tnt', gateway.acme.ref.id)}"
    await _do(gateway, "PATCH", path, {"plan": "pro"}, gateway.operator)
    await _do(gateway, "PATCH", path, {"plan": "pro"}, gateway.operator)
    await _do(gateway, "POST", f"{path}/suspend", None, gateway.operator)
    await _do(gateway, "POST", f"{path}/resume", None, gateway.operator)
    events = events_of(gateway.urls, gateway.acme.ref)
    assert _types(gateway) == ["tenant.plan_changed", "tenant.suspended", "tenant.resumed"]
    assert [(event["before"]["plan"], event["after"]["plan"]) for event in events[:1]] == [("scale", "pro")]
    assert {event["actor_kind"] for event in events} == {"operator"}
    assert len({event["actor_id"] for event in events}) == 1
    body = {"slug": "fresh", "name": "Fresh", "plan": "free", "owner_email": "ann@fresh.example"}
    made = await _do(gateway, "POST", "/operator/v1/tenants", body, gateway.operator)
    query = sql.SQL("SELECT type, actor_kind FROM {} ORDER BY created_at")
    with psycopg.connect(gateway.urls.superuser) as superuser:
        rows = superuser.execute(query.format(sql.Identifier(made["schema"], "tenantry_events"))).fetchall()
    assert rows == [(each, "operator") for each in ("tenant.created", "api_keys.created", "invitations.created")]


async def test_a_change_that_is_rolled_back_leaves_no_row(gateway: Gateway) -> None:
    """AU1: nor a job that would chain it."""
    roles = gateway.services.features.roles
    requested = CreateRole(name="support", permissions=[])
    with contextlib.suppress(ZeroDivisionError):
        async with gateway.services.database.control() as session:
            await roles.create(session, gateway.acme.ref.id, None, requested, origin=SYSTEM)
            raise ZeroDivisionError
    assert (_types(gateway), queued_jobs(gateway.urls)) == ([], [])


async def test_a_change_whose_row_is_refused_is_not_made(gateway: Gateway) -> None:
    """AU1: here the table lacks a column, as a tenant's that was not migrated: 503, and no key."""
    tamper(gateway.urls, gateway.acme.ref, "ALTER TABLE {log} RENAME COLUMN reason TO unknown")
    body = {"name": "import", "role": "viewer"}
    answer = await gateway.client.post(_KEYS, json=body, headers=gateway.acme.key("owner"))
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    listed = await _do(gateway, "GET", f"{_KEYS}?limit=100")
    assert "import" not in [each["name"] for each in listed["data"]]


async def test_nothing_is_recorded_for_a_tenant_that_is_gone(gateway: Gateway) -> None:
    with pytest.raises(NotFound):
        async with gateway.services.database.control() as session:
            await audit.record(session, TenantId(new_id()), SYSTEM, "roles.created", new_id())


async def test_the_control_role_can_neither_change_nor_number_rows(gateway: Gateway) -> None:
    """AU1: it executes two functions, and has no right on a tenant's tables or on the ends of the chains."""
    async with gateway.services.database.control() as session:
        await audit.record(session, gateway.acme.ref.id, SYSTEM, "roles.created", new_id())
    log = f"{gateway.acme.ref.schema}.tenantry_events"
    for statement in (
        "UPDATE {log} SET type = 'x'",
        "DELETE FROM {log}",
        "TRUNCATE {log}",
        "SELECT * FROM {log}",
        "INSERT INTO {log} (id, type) SELECT gen_random_uuid(), 'x'",
        "UPDATE tenantry.event_counters SET last_sequence = 0",
        "DELETE FROM tenantry.event_counters",
        "INSERT INTO tenantry.event_counters SELECT id FROM tenantry.tenants",
    ):
        with pytest.raises(Exception, match="permission denied"):
            async with gateway.services.database.control() as session:
                await session.execute(text(statement.format(log=log)))
    assert _types(gateway) == ["roles.created"]


async def test_a_reason_and_an_id_that_are_sql_are_text(gateway: Gateway) -> None:
    """The function's arguments are values of its statement, and never part of it."""
    evil = "'); DROP TABLE tenantry_events; --"
    origin = Origin(Actor(ActorKind.OPERATOR, new_id()), evil, evil, evil)
    async with gateway.services.database.control() as session:
        await audit.record(session, gateway.acme.ref.id, origin, evil, new_id(), after={evil: evil})
    (event,) = events_of(gateway.urls, gateway.acme.ref)
    assert {event[name] for name in ("type", "request_id", "source", "reason")} == {evil}
    assert event["after"] == {evil: evil}


async def test_setting_the_same_status_records_nothing(gateway: Gateway) -> None:
    """Idempotent."""
    async with gateway.services.database.control() as session:
        directory = gateway.services.features.directory
        await directory.resume(session, gateway.acme.ref.id, origin=SYSTEM)
    assert _types(gateway) == []
