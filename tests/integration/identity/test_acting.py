"""An operator acts for a tenant: with a reason, on its management, and never on its data or as one of its people."""

from collections.abc import Mapping

import httpx
import psycopg
import pytest

from tenants.identifiers import OPERATOR_KEY, TENANT, USER, UserId, show
from tests.fixtures.events import events_of
from tests.fixtures.gateways import Gateway, GatewayFactory, SeededTenant

pytestmark = pytest.mark.anyio

_KEYS = "/operator/v1/operator-keys"
_REASON = "Ticket 4711: the owner is locked out"


def _acting(
    gateway: Gateway, key: Mapping[str, str] | None = None, fields: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Header fields of an operator who acts for acme, or as ``fields`` say."""
    named = {"Tenantry-Tenant": show(TENANT, gateway.acme.ref.id), "Tenantry-Reason": _REASON}
    return {**(key or gateway.operator), **named, **(fields or {})}


async def _operator(gateway: Gateway, role: str) -> tuple[str, dict[str, str]]:
    """Id and header fields of a new operator key."""
    made = await gateway.client.post(_KEYS, json={"name": role, "role": role}, headers=gateway.operator)
    return made.json()["id"], {"X-API-Key": made.json()["secret"]}


async def _set_status(gateway: Gateway, action: str) -> None:
    path = f"/operator/v1/tenants/{show(TENANT, gateway.acme.ref.id)}/{action}"
    (await gateway.client.post(path, headers=gateway.operator)).raise_for_status()
    await gateway.catch_up()


def _user(gateway: Gateway, tenant: SeededTenant, role: str) -> str:
    with psycopg.connect(gateway.urls.owner) as connection:
        row = connection.execute("SELECT id FROM tenantry.users WHERE email = %s", (tenant.emails[role],)).fetchone()
        assert row is not None
        return show(USER, UserId(row[0]))


async def test_an_admin_manages_a_tenant_and_only_that_one(gateway: Gateway) -> None:
    """AZ3: as its owner, roles of owners included; a change is the same as the owner's own."""
    client, acting = gateway.client, _acting(gateway)
    listed = await client.get("/v1/members", headers=acting)
    emails = {each["email"] for each in listed.json()["data"]}
    assert emails == set(gateway.acme.emails.values())
    renamed = await client.patch("/v1/tenant", json={"name": "Acme"}, headers=acting)
    assert (renamed.status_code, renamed.json()["slug"], renamed.json()["name"]) == (200, "acme", "Acme")
    promoted = await client.patch(
        f"/v1/members/{_user(gateway, gateway.acme, 'viewer')}", json={"roles": ["owner"]}, headers=acting
    )
    assert (promoted.status_code, promoted.json()["roles"]) == (200, ["owner"])
    foreign = await client.get(f"/v1/members/{_user(gateway, gateway.globex, 'viewer')}", headers=acting)
    assert foreign.status_code == 404


async def test_support_reads_and_a_verifier_does_not_even_that(gateway: Gateway) -> None:
    """AZ1."""
    _, support = await _operator(gateway, "support")
    _, verifier = await _operator(gateway, "verifier")
    acting = _acting(gateway, support)
    for path in ("/v1/tenant", "/v1/members", "/v1/roles", "/v1/api-keys", "/v1/permissions"):
        assert (await gateway.client.get(path, headers=acting)).status_code == 200, path
        assert (await gateway.client.get(path, headers=_acting(gateway, verifier))).status_code == 403, path
    refused = await gateway.client.patch("/v1/tenant", json={"name": "x"}, headers=acting)
    assert (refused.status_code, refused.json()["detail"]) == (403, "Permission tenant:update is required.")


async def test_data_sessions_and_credentials_stay_closed(gateway: Gateway) -> None:
    """Staff get no customer data by it, no key that would give some, and no session of a user."""
    for method, path in (
        ("GET", "/v1/contacts"),
        ("POST", "/v1/contacts"),
        ("POST", "/v1/auth/login"),
        ("POST", "/v1/auth/refresh"),
        ("GET", "/v1/me"),
        ("POST", "/v1/api-keys"),
        ("GET", "/operator/v1/tenants"),
    ):
        body = {"name": "x", "role": "viewer"} if method == "POST" else None
        refused = await gateway.client.request(method, path, headers=_acting(gateway), json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), path


async def test_tenant_and_reason_must_be_given(gateway: Gateway) -> None:
    """The tenant is told why staff look at it."""
    for fields, status, code in (
        ({"Tenantry-Reason": ""}, 422, "missing"),
        ({"Tenantry-Reason": " "}, 422, "missing"),
        ({"Tenantry-Reason": "x" * 501}, 422, "too_long"),
        ({"Tenantry-Reason": "a\u202eb"}, 422, "bad_character"),
        ({"Tenantry-Tenant": "tnt_01h455vb4pex5vsknk084sn02q"}, 404, None),
        ({"Tenantry-Tenant": "acme"}, 404, None),
        ({"Tenantry-Tenant": ""}, 404, None),
    ):
        headers = [(name.encode(), value.encode()) for name, value in _acting(gateway, fields=fields).items()]
        refused = await gateway.client.get("/v1/members", headers=headers)
        assert refused.status_code == status
        errors = [(each["pointer"], each["code"]) for each in refused.json().get("errors", ())]
        assert errors == ([("/header/Tenantry-Reason", code)] if code else [])


async def test_the_tenant_reads_who_was_there_and_why(gateway: Gateway) -> None:
    """AU1: reads, refused attempts and changes, with the operator's key, reason and address; no other tenant's."""
    key, headers = await _operator(gateway, "admin")
    acting = _acting(gateway, headers)
    for method, path, body in (
        ("GET", "/v1/members", None),
        ("GET", "/v1/contacts", None),
        ("PATCH", "/v1/tenant", {"name": "Acme"}),
    ):
        await gateway.client.request(method, path, headers=acting, json=body)
    events = [each for each in events_of(gateway.urls, gateway.acme.ref) if each["actor_kind"] == "operator"]
    assert sorted((each["type"], each["category"], each["after"].get("route")) for each in events) == [
        ("tenant.accessed", "access", "/v1/contacts"),
        ("tenant.accessed", "access", "/v1/members"),
        ("tenant.accessed", "access", "/v1/tenant"),
        ("tenant.updated", "management", None),
    ]
    assert {show(OPERATOR_KEY, each["actor_id"]) for each in events} == {key}
    assert {each["reason"] for each in events} == {_REASON}
    assert all(each["source"] and each["request_id"] for each in events)
    assert [each for each in events_of(gateway.urls, gateway.globex.ref) if each["actor_kind"] == "operator"] == []


async def test_two_tenants_or_none_are_refused(gateway: Gateway) -> None:
    """Ambiguous fields are refused; without them an operator's key opens nothing of a tenant."""
    twice = [*_acting(gateway).items(), ("Tenantry-Tenant", show(TENANT, gateway.globex.ref.id))]
    assert (await gateway.client.get("/v1/members", headers=twice)).status_code == 400
    without = {name: value for name, value in _acting(gateway).items() if name != "Tenantry-Tenant"}
    assert (await gateway.client.get("/v1/members", headers=without)).status_code == 403


async def test_a_tenants_own_credential_acts_for_no_other(gateway: Gateway) -> None:
    """IS7: the fields mean nothing with it."""
    fields = {**gateway.globex.key("owner"), "Tenantry-Tenant": show(TENANT, gateway.acme.ref.id)}
    answer = await gateway.client.get("/v1/tenant", headers={**fields, "Tenantry-Reason": "curiosity"})
    assert answer.json()["slug"] == "globex"


async def test_a_suspended_tenant_can_be_managed(gateway: Gateway) -> None:
    """That is when staff are needed; its own credentials stay refused."""
    await _set_status(gateway, "suspend")
    answer = await gateway.client.get("/v1/tenant", headers=_acting(gateway))
    assert (answer.status_code, answer.json()["status"]) == (200, "suspended")
    assert (await gateway.client.get("/v1/tenant", headers=gateway.acme.key("owner"))).status_code == 403


async def test_a_revoked_operator_acts_no_more_on_any_worker(gateways: GatewayFactory) -> None:
    """ID4: nothing of it is cached beside the key, which ends everywhere."""
    async with gateways() as one, gateways() as other:
        key, headers = await _operator(one, "admin")
        for gateway in (one, other):
            assert (await gateway.client.get("/v1/members", headers=_acting(gateway, headers))).status_code == 200
        await one.client.post(f"{_KEYS}/{key}/revoke", headers=one.operator)
        await other.catch_up()
        refused = await other.client.get("/v1/members", headers=_acting(other, headers))
        assert (refused.status_code, refused.json()["code"]) == (401, "credential_revoked")


async def test_acting_has_a_window_of_its_own(gateways: GatewayFactory) -> None:
    """TH10: of the operator's key over all tenants; the tenant's windows, plan and usage are not touched."""
    async with gateways(principal_management_requests=2) as gateway:
        globex = {"Tenantry-Tenant": show(TENANT, gateway.globex.ref.id)}
        answers: list[httpx.Response] = [
            await gateway.client.get("/v1/members", headers=_acting(gateway, fields=fields))
            for fields in ({}, globex, {})
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert (await gateway.client.get("/v1/tenant", headers=gateway.acme.key("owner"))).status_code == 200
        assert (await gateway.client.get("/operator/v1/tenants", headers=gateway.operator)).status_code == 200
