"""What the audit logs of tenants record of people's sign-ins, sessions and passwords."""

from dataclasses import replace
from typing import Any

import pytest

from tenants.database.names import tenant_schema
from tenants.identifiers import TenantId
from tenants.principal import TenantRef
from tests.fixtures.events import events_of
from tests.fixtures.gateways import PASSWORD, Gateway, GatewayFactory
from tests.fixtures.people import SignedIn, execute, sign_in
from tests.fixtures.post import gateway_with_mail

pytestmark = pytest.mark.anyio
_MEMBER, _NEW = "member@acme.example", "umbrella walnut 42 glacier"
_JOIN = (
    "INSERT INTO tenantry.memberships (tenant_id, user_id, roles) SELECT tenants.id, users.id, '{viewer}'"
    " FROM tenantry.tenants, tenantry.users WHERE slug = 'globex' AND email = %s"
)


def _events(gateway: Gateway, tenant: TenantRef) -> list[dict[str, Any]]:
    """Those of the member, in order."""
    (user,) = execute(gateway, "SELECT id FROM tenantry.users WHERE email = %s", _MEMBER)[0]
    return [event for event in events_of(gateway.urls, tenant) if event["object_id"] == user]


async def test_sign_ins_and_their_ends_are_recorded(gateway: Gateway) -> None:
    """AU1: who, from where, by which request; the session and its methods, and no secret (SE2)."""
    execute(gateway, _JOIN, _MEMBER)
    mine, other = await sign_in(gateway), await sign_in(gateway)
    listed = (await mine.get("/v1/auth/sessions", sort="created_at")).json()["data"]
    await mine.delete(f"/v1/auth/sessions/{listed[1]['id']}")
    elsewhere = SignedIn.of(gateway, await mine.post("/v1/auth/switch", tenant="globex"))
    body = {"refresh_token": mine.refresh_token, "everywhere": True}
    assert (await gateway.client.post("/v1/auth/logout", json=body)).status_code == 204
    here, there = _events(gateway, gateway.acme.ref), _events(gateway, gateway.globex.ref)
    assert [event["type"] for event in here] == ["sign_in.succeeded"] * 2 + ["sign_in.ended"] * 2
    assert [event["type"] for event in there] == ["sign_in.succeeded", "sign_in.ended"]
    for event in (*here, *there):
        assert (event["actor_kind"], event["actor_id"]) == ("user", event["object_id"])
        assert (event["source"], event["category"]) == ("127.0.0.1", "access")
        assert event["request_id"].startswith("req_")
    assert here[0]["after"] == {"session": listed[0]["id"], "methods": ["pwd"], "user_agent": "tests"}
    assert here[2]["after"] == {"session": listed[1]["id"]}
    stored = repr((here, there))
    for session in (mine, other, elsewhere):
        assert session.refresh_token not in stored
        assert session.access_token not in stored


async def test_wrong_passwords_of_members_are_recorded_in_numbers(gateway: Gateway) -> None:
    """AU1: at most one row a minute, with their number; none for people who are not members."""
    mine = await sign_in(gateway)
    for email in (_MEMBER, _MEMBER, "nobody@acme.example", "viewer@globex.example"):
        body = {"email": email, "password": "another long passphrase", "tenant": "acme"}
        assert (await gateway.client.post("/v1/auth/login", json=body)).status_code == 401
    wrong = await mine.post("/v1/auth/password/change", current_password="another one", password=_NEW)
    assert wrong.status_code == 422
    await gateway.services.features.refusals.flush(everything=True)
    refused = [event for event in events_of(gateway.urls, gateway.acme.ref) if event["type"] == "sign_in.refused"]
    assert sum(event["after"]["count"] for event in refused) == 3
    assert {event["object_id"] for event in refused} == {_events(gateway, gateway.acme.ref)[0]["object_id"]}


async def test_new_passwords_are_recorded_in_every_tenant_of_the_person(gateways: GatewayFactory) -> None:
    """AU1: a change and a reset; a tenant whose log cannot be written is left out and keeps neither."""
    async with gateway_with_mail(gateways) as post:
        gateway = post.gateway
        execute(gateway, _JOIN, _MEMBER)
        mine = await sign_in(gateway)
        changed = await mine.post("/v1/auth/password/change", current_password=PASSWORD, password=_NEW)
        assert changed.status_code == 200, changed.text
        execute(gateway, f'ALTER TABLE "{gateway.globex.ref.schema}".tenantry_events RENAME TO moved')
        await gateway.client.post("/v1/auth/password/forgot", json={"email": _MEMBER})
        body = {"token": await post.token(_MEMBER), "password": PASSWORD}
        assert (await gateway.client.post("/v1/auth/password/reset", json=body)).status_code == 204
        execute(gateway, f'ALTER TABLE "{gateway.globex.ref.schema}".moved RENAME TO tenantry_events')
        passwords = {"users.password_changed", "users.password_reset"}
        for tenant, expected in ((gateway.acme.ref, passwords), (gateway.globex.ref, {"users.password_changed"})):
            assert {event["type"] for event in _events(gateway, tenant)} & passwords == expected


async def test_a_sign_up_is_recorded_in_its_tenant(gateways: GatewayFactory) -> None:
    """AU1: the tenant, its owner and the first session, by the person."""
    async with gateway_with_mail(gateways) as post:
        email = "ada@initech.example"
        body = {"email": email, "password": _NEW, "tenant": {"slug": "initech", "name": "Initech"}}
        assert (await post.gateway.client.post("/v1/auth/signup", json=body)).status_code == 202
        token = await post.token(email)
        answer = await post.gateway.client.post("/v1/auth/email/verify", json={"token": token, "password": _NEW})
        assert answer.status_code == 200, answer.text
        (tenant,) = execute(post.gateway, "SELECT id FROM tenantry.tenants WHERE slug = 'initech'")[0]
        (user,) = execute(post.gateway, "SELECT id FROM tenantry.users WHERE email = %s", email)[0]
        events = events_of(post.gateway.urls, replace(post.gateway.acme.ref, schema=tenant_schema(TenantId(tenant))))
        assert [event["type"] for event in events] == ["tenant.created", "members.added", "sign_in.succeeded"]
        assert {(event["actor_kind"], event["actor_id"]) for event in events} == {("user", user)}
