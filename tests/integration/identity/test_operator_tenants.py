"""``/operator/v1/tenants``: how operators create and manage tenants."""

import asyncio
from typing import Any

import httpx
import psycopg
import pytest

from tests.fixtures.catalog import schemas_and_roles
from tests.fixtures.events import events_of
from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio
_TENANTS = "/operator/v1/tenants"


async def _create(gateway: Gateway, **wanted: Any) -> httpx.Response:
    body = {"slug": "initech", "name": "Initech", "plan": "pro", **wanted}
    return await gateway.client.post(_TENANTS, json=body, headers=gateway.operator)


async def _code(gateway: Gateway, key: dict[str, str]) -> str | None:
    code: str | None = (await gateway.client.get("/v1/me", headers=key)).json().get("code")
    return code


async def _drop(gateway: Gateway, tenant: str) -> None:
    """Roles belong to the whole server, which the tests share."""
    assert (await gateway.client.delete(f"{_TENANTS}/{tenant}", headers=gateway.operator)).status_code == 204


async def test_a_new_tenant_is_complete_and_its_first_key_works(gateway: Gateway) -> None:
    """POST /operator/v1/tenants: schema, role, key and the owner's invitation in one transaction."""
    answer = await _create(gateway, owner_email="boss@initech.example")
    made = answer.json()
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"{_TENANTS}/{made['id']}"
    assert made["id"].startswith("tnt_")
    assert (made["slug"], made["plan"], made["status"]) == ("initech", "pro", "active")
    key = {"X-API-Key": made["api_key"]["secret"]}
    me = (await gateway.client.get("/v1/me", headers=key)).json()
    assert me["tenant"] == {"id": made["id"], "slug": "initech", "status": "active"}
    assert me["principal"]["roles"] == ["admin"]
    assert (await gateway.client.get("/v1/contacts", headers=key)).json()["data"] == []
    schemas, roles = schemas_and_roles(gateway.urls.owner)
    assert made["schema"] in schemas & roles
    with psycopg.connect(gateway.urls.owner) as connection:
        query = "SELECT role, inviter_kind, sent_at FROM tenantry.invitations WHERE email = 'boss@initech.example'"
        assert connection.execute(query).fetchall() == [("owner", "operator", None)]
        known = "SELECT 1 FROM tenantry.users WHERE email = 'boss@initech.example'"
        assert connection.execute(known).fetchall() == [], "nobody is a member before the invitation is accepted"
    await _drop(gateway, made["id"])


async def test_deleting_a_tenant_removes_everything_of_it(gateway: Gateway) -> None:
    """IS8: no orphaned schema, role, key or membership; its key is unknown from then on."""
    made = (await _create(gateway, owner_email="boss@initech.example")).json()
    key = {"X-API-Key": made["api_key"]["secret"]}
    assert (await gateway.client.get("/v1/me", headers=key)).status_code == 200
    await _drop(gateway, made["id"])
    schemas, roles = schemas_and_roles(gateway.urls.owner)
    assert made["schema"] not in schemas | roles
    async with asyncio.timeout(1):
        while await _code(gateway, key) != "credential_invalid":  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)
    assert (await gateway.client.get(f"{_TENANTS}/{made['id']}", headers=gateway.operator)).status_code == 404
    assert (await _create(gateway)).status_code == 201
    listed = (await gateway.client.get(_TENANTS, headers=gateway.operator)).json()["data"]
    await _drop(gateway, listed[0]["id"])


async def test_a_failed_creation_leaves_nothing_behind(gateway: Gateway) -> None:
    """IS8: a taken slug is 409, an unknown plan 422, and neither leaves a schema."""
    before = schemas_and_roles(gateway.urls.owner)
    taken = await _create(gateway, slug="acme")
    assert (taken.status_code, taken.json()["code"]) == (409, "conflict")
    assert taken.json()["errors"] == [{"pointer": "/slug", "code": "not_unique", "message": "Already in use."}]
    assert "acme" not in taken.text
    unknown = await _create(gateway, plan="gold")
    assert (unknown.status_code, unknown.json()["errors"][0]["pointer"]) == (422, "/plan")
    assert schemas_and_roles(gateway.urls.owner)[0] == before[0]


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"slug": "Initech"}, "/slug"),
        ({"slug": "in"}, "/slug"),
        ({"slug": "init ech"}, "/slug"),
        ({"slug": "initech\n"}, "/slug"),
        ({"slug": "a'; drop schema tenantry; --"}, "/slug"),
        ({"name": ""}, "/name"),
        ({"name": "Ini\x9btech"}, "/name"),
        ({"name": "Ini\u202etech"}, "/name"),
        ({"owner_email": "ann\u202e@initech.example"}, "/owner_email"),
        ({"owner_email": "nobody"}, "/owner_email"),
        ({"schema": "t_1"}, "/schema"),
        ({"id": "tnt_1"}, "/id"),
    ],
)
async def test_validation_errors_point_to_their_fields(gateway: Gateway, wanted: dict[str, Any], pointer: str) -> None:
    """AZ7, IS5: no input becomes a schema's name."""
    answer = await _create(gateway, **wanted)
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


async def test_twenty_concurrent_creations_of_one_slug_create_one_tenant(gateway: Gateway) -> None:
    """IS8: no race creates two, or a part of one."""
    answers = await asyncio.gather(*(_create(gateway) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    await _drop(gateway, next(answer.json()["id"] for answer in answers if answer.status_code == 201))


async def test_an_operator_changes_the_plan_of_a_tenant(gateway: Gateway) -> None:
    """PATCH /operator/v1/tenants/{id}: change the plan."""
    path = f"{_TENANTS}/{(await gateway.client.get('/v1/me', headers=gateway.acme.key())).json()['tenant']['id']}"
    changed = await gateway.client.patch(path, json={"plan": "pro"}, headers=gateway.operator)
    assert (changed.status_code, changed.json()["plan"]) == (200, "pro")
    for wrong in ({"plan": "gold"}, {"plan": "pro", "slug": "other"}, {}):
        assert (await gateway.client.patch(path, json=wrong, headers=gateway.operator)).status_code == 422
    read = await gateway.client.get(path, headers=gateway.operator)
    assert (read.json()["plan"], read.headers["etag"][0]) == ("pro", '"')


async def test_only_operators_see_why_a_tenant_is_suspended(gateway: Gateway) -> None:
    """SE2: the tenant's callers read that it is suspended, and no reason. ID4: resumed, they are served again."""
    key = gateway.acme.key("owner")
    path = f"{_TENANTS}/{(await gateway.client.get('/v1/me', headers=key)).json()['tenant']['id']}"
    body = {"reason": "Suspected fraud, ticket 4711"}
    suspended = await gateway.client.post(f"{path}/suspend", json=body, headers=gateway.operator)
    assert suspended.status_code == 200, suspended.text
    assert suspended.json()["suspension"]["reason"] == body["reason"]
    again = await gateway.client.post(f"{path}/suspend", headers=gateway.operator)
    assert again.json() == suspended.json(), "no body: reason and time stay"
    await gateway.catch_up()
    refused = await gateway.client.get("/v1/tenant", headers=key)
    assert (refused.status_code, refused.json()["code"]) == (403, "tenant_suspended")
    assert "fraud" not in refused.text
    resumed = await gateway.client.post(f"{path}/resume", json={"reason": "All well"}, headers=gateway.operator)
    assert (resumed.json()["status"], resumed.json()["suspension"]) == ("active", None)
    reasons = {each["type"]: each["reason"] for each in events_of(gateway.urls, gateway.acme.ref)}
    assert (reasons["tenant.suspended"], reasons["tenant.resumed"]) == (body["reason"], "All well")
    await gateway.catch_up()
    assert (await gateway.client.get("/v1/tenant", headers=key)).status_code == 200
    for wrong in ({"reason": ""}, {"reason": "x" * 501}, {"reason": "a\u202eb"}, {"why": "x"}):
        assert (await gateway.client.post(f"{path}/suspend", json=wrong, headers=gateway.operator)).status_code == 422


async def test_a_plan_change_with_a_stale_if_match_is_412(gateway: Gateway) -> None:
    """DA4: If-Match is honoured, 412 when stale."""
    tenant = (await gateway.client.get("/v1/me", headers=gateway.acme.key())).json()["tenant"]["id"]
    path, body = f"{_TENANTS}/{tenant}", {"plan": "pro"}
    tag = (await gateway.client.get(path, headers=gateway.operator)).headers["etag"]
    seen = {**gateway.operator, "If-Match": tag}
    assert (await gateway.client.patch(path, json=body, headers=seen)).status_code == 200
    stale = await gateway.client.patch(path, json={"plan": "free"}, headers=seen)
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert (await gateway.client.get(path, headers=gateway.operator)).json()["plan"] == "pro"


async def test_if_match_may_list_several_etags_on_several_lines(gateway: Gateway) -> None:
    """DA4; RFC 9110 sections 5.3 and 5.6.1: elements may be empty, and lines are one list."""
    tenant = (await gateway.client.get("/v1/me", headers=gateway.acme.key())).json()["tenant"]["id"]
    path = f"{_TENANTS}/{tenant}"
    seen = await gateway.client.get(path, headers=gateway.operator)
    tag, unchanged = seen.headers["etag"], {"plan": seen.json()["plan"]}
    for lines, status in (([f",{tag}"], 200), (['"other"', tag], 200), ([",", f"W/{tag}"], 412)):
        headers = [*gateway.operator.items(), *(("If-Match", line) for line in lines)]
        answer = await gateway.client.patch(path, json=unchanged, headers=headers)
        assert answer.status_code == status, lines


async def test_a_deletion_with_a_stale_if_match_is_412(gateway: Gateway) -> None:
    """DA4: If-Match is honoured."""
    made = (await _create(gateway)).json()
    path = f"{_TENANTS}/{made['id']}"
    seen = {**gateway.operator, "If-Match": (await gateway.client.get(path, headers=gateway.operator)).headers["etag"]}
    await gateway.client.post(f"{path}/suspend", headers=gateway.operator)
    stale = await gateway.client.delete(path, headers=seen)
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    resumed = await gateway.client.post(f"{path}/resume", headers=gateway.operator)
    assert (
        await gateway.client.delete(path, headers=seen)
    ).status_code == 412  # as it was when it was read, two changes ago
    current = {**gateway.operator, "If-Match": resumed.headers["etag"]}
    assert (await gateway.client.delete(path, headers=current)).status_code == 204


async def test_unknown_tenants_are_not_found(gateway: Gateway) -> None:
    """AZ4: neither do ids of another type exist."""
    for tenant in ("tnt_01h455vb4pex5vsknk084sn02q", "key_01h455vb4pex5vsknk084sn02q", "x"):
        for method, suffix in (("GET", ""), ("DELETE", ""), ("POST", "/suspend"), ("POST", "/resume")):
            answer = await gateway.client.request(method, f"{_TENANTS}/{tenant}{suffix}", headers=gateway.operator)
            assert answer.status_code == 404


async def test_tenants_are_listed_newest_first(gateway: Gateway) -> None:
    """docs/api.md, "Lists"."""
    page = (await gateway.client.get(_TENANTS, params={"limit": 1}, headers=gateway.operator)).json()
    assert [each["slug"] for each in page["data"]] == ["globex"]
    rest = await gateway.client.get(_TENANTS, params={"cursor": page["next_cursor"]}, headers=gateway.operator)
    assert [each["slug"] for each in rest.json()["data"]] == ["acme"]
