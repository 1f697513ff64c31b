"""``/scim/v2/Users``: what a provider can do to a tenant's people, and what it cannot."""

import asyncio
from typing import Any

import httpx
import jsonschema_rs
import pytest

from tests.fixtures.gateways import PASSWORD, Gateway, GatewayFactory
from tests.fixtures.people import execute
from tests.fixtures.scim import USER, Provider, provider_of, refusal

pytestmark = pytest.mark.anyio


@pytest.fixture
async def provider(gateway: Gateway) -> Provider:
    return await provider_of(gateway)


async def _adopted(provider: Provider, role: str) -> str:
    """Path of the seeded member with this role, once the provider has created a user for them."""
    email = f"{role}@acme.example"
    answer = await provider.send("POST", "/Users", {"schemas": [USER], "userName": email, "externalId": role})
    assert answer.status_code == 201, answer.text
    return f"/Users/{answer.json()['id']}"


async def _log_in(gateway: Gateway, email: str, tenant: str) -> httpx.Response:
    body = {"email": email, "password": PASSWORD, "tenant": tenant}
    return await gateway.client.post("/v1/auth/login", json=body)


async def _me(gateway: Gateway, login: httpx.Response) -> int:
    bearer = {"Authorization": f"Bearer {login.json()['access_token']}"}
    return (await gateway.client.get("/v1/me", headers=bearer)).status_code


async def test_a_member_becomes_a_user_and_keeps_their_roles(provider: Provider) -> None:
    """A person who was invited before SCIM was set up; members without a user are not listed."""
    path = await _adopted(provider, "admin")
    member = await provider.member(path[7:])
    assert (member["email"], member["roles"]) == ("admin@acme.example", ["admin"])
    listed = (await provider.get("/Users")).json()
    assert [each["userName"] for each in listed["Resources"]] == ["admin@acme.example"]


async def test_a_tenants_directory_changes_no_account(gateways: GatewayFactory) -> None:
    """ID4, ID15: e-mail address, name and password stay; another tenant's session goes on while this one's ends."""
    async with gateways() as gateway, gateways() as other:
        provider = await provider_of(gateway)
        execute(
            gateway,
            "INSERT INTO tenantry.memberships (tenant_id, user_id, roles) SELECT tenants.id, users.id, '{viewer}'"
            " FROM tenantry.tenants, tenantry.users WHERE slug = 'acme' AND email = 'member@globex.example'",
        )
        query = "SELECT email, name, password_hash, disabled_at, version FROM tenantry.users WHERE email = %s"
        before = execute(gateway, query, "member@globex.example")
        there, here = [await _log_in(gateway, "member@globex.example", each) for each in ("globex", "acme")]
        body = {
            "schemas": [USER],
            "userName": "member@globex.example",
            "displayName": "Other",
            "password": "changed it",
        }
        user = (await provider.send("POST", "/Users", body)).json()
        path = f"/Users/{user['id']}"
        new = {"userName": "x@acme.example", "displayName": "Other", "emails": [{"value": "x@acme.example"}]}
        assert (await provider.patch(path, {"op": "replace", "value": new})).status_code == 200
        assert [await _me(other, each) for each in (there, here)] == [200, 200]
        assert (await provider.patch(path, {"op": "replace", "value": {"active": False}})).status_code == 200
        for each in (gateway, other):
            await each.catch_up()
            assert [await _me(each, login) for login in (there, here)] == [200, 401]
        assert (await _log_in(gateway, "member@globex.example", "acme")).status_code == 401
        assert (await provider.patch(path, {"op": "replace", "value": {"active": True}})).status_code == 200
        await gateway.catch_up()
        assert await _me(gateway, here) == 401, "no session is revived"
        assert (await provider.send("DELETE", path)).status_code == 204
        await gateway.catch_up()
        assert await _me(gateway, there) == 200
        assert execute(gateway, query, "member@globex.example") == before


async def test_the_last_owner_stays(provider: Provider) -> None:
    """AZ6: neither deactivated nor deleted, in whatever form, and not of two at once."""
    owner, admin = await _adopted(provider, "owner"), await _adopted(provider, "admin")
    inactive = {"op": "replace", "path": "active", "value": False}
    document = {"schemas": [USER], "userName": "owner@acme.example", "active": False}
    for answer in (
        await provider.patch(owner, inactive),
        await provider.send("PUT", owner, document),
        await provider.send("DELETE", owner),
    ):
        assert refusal(answer) == (409, None)
    headers = provider.gateway.acme.key("owner")
    changed = await provider.gateway.client.patch(
        f"/v1/members/{admin[7:]}", json={"roles": ["owner"]}, headers=headers
    )
    assert changed.status_code == 200
    answers = await asyncio.gather(provider.patch(owner, inactive), provider.send("DELETE", admin))
    assert sorted(each.status_code // 100 for each in answers) == [2, 4]


async def test_names_are_unique_in_the_tenant_alone(provider: Provider) -> None:
    """Regardless of case, of one created or renamed; a person is one user."""
    await provider.user("ada")
    bea = await provider.user("bea")
    taken = {"schemas": [USER], "userName": "ADA@acme.example"}
    for answer in (
        await provider.send("POST", "/Users", taken),
        await provider.send("PUT", f"/Users/{bea['id']}", taken),
        await provider.patch(f"/Users/{bea['id']}", {"op": "replace", "path": "userName", "value": "Ada@acme.example"}),
        await provider.send("POST", "/Users", {"userName": "other", "emails": [{"value": "ada@acme.example"}]}),
    ):
        assert refusal(answer) == (409, "uniqueness")
    same = {"schemas": [USER], "userName": "BEA@acme.example"}
    assert (await provider.send("PUT", f"/Users/{bea['id']}", same)).json()["userName"] == "BEA@acme.example"
    elsewhere = await provider_of(provider.gateway, provider.gateway.globex)
    assert (await elsewhere.send("POST", "/Users", taken)).status_code == 201


async def test_what_is_not_a_user_is_refused(provider: Provider) -> None:
    """Each with the status and keyword of RFC 7644, and nothing is created by it."""
    post = {"schemas": [USER], "userName": "ada@acme.example"}
    cases: tuple[tuple[dict[str, Any], tuple[int, str | None]], ...] = (
        ({"schemas": [USER]}, (400, "invalidValue")),
        (post | {"userName": ""}, (400, "invalidValue")),
        (post | {"userName": "no address"}, (400, "invalidValue")),
        (post | {"userName": "a", "emails": [{"value": "no address"}]}, (400, "invalidValue")),
        (post | {"active": "perhaps"}, (400, "invalidValue")),
        (post | {"name": "Ada"}, (400, "invalidValue")),
        (post | {"emails": [{}] * 21}, (400, "invalidValue")),
        (post | {"title": "x" * 1_001}, (400, "invalidValue")),
        (post | {"USERNAME": "bea@acme.example"}, (400, "invalidValue")),
        (post | {"emails": [{"value": "x"}] * 1_000}, (413, None)),
        (post | {"title": "x" * 70_000}, (413, None)),
    )
    for body, expected in cases:
        assert refusal(await provider.send("POST", "/Users", body)) == expected, str(body)[:80]
    assert refusal(await provider.send("POST", "/Users", post, **{"Content-Type": "text/plain"})) == (415, None)
    headers = {**provider.headers, "Content-Type": "application/scim+json"}
    broken = await provider.gateway.client.post("/scim/v2/Users", content=b'{"userName": ', headers=headers)
    assert refusal(broken) == (400, "invalidSyntax")
    assert refusal(await provider.send("POST", "/Users")) == (400, "invalidValue")
    assert (await provider.get("/Users")).json()["totalResults"] == 0
    assert (await provider.send("POST", "/Users", post, **{"Content-Type": "application/json"})).status_code == 201


async def test_operations_that_cannot_be_done_change_nothing(provider: Provider) -> None:
    """All or none: also of those before the one that is refused."""
    user = await provider.user("ada", title="Analyst")
    path = f"/Users/{user['id']}"
    good = {"op": "replace", "path": "title", "value": "Other"}
    for bad, expected in (
        ({"op": "replace", "path": "id", "value": "x"}, "mutability"),
        ({"op": "replace", "path": "nothing", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": "a b c", "value": "x"}, "invalidPath"),
        ({"op": "remove"}, "noTarget"),
        ({"op": "remove", "path": "userName"}, "invalidValue"),
        ({"op": "move", "path": "title", "value": "x"}, "invalidValue"),
    ):
        assert refusal(await provider.patch(path, good, bad)) == (400, expected)
    assert refusal(await provider.patch(path)) == (400, "invalidValue")
    assert (await provider.get(path)).json() == user


async def test_lists_are_read_by_index(provider: Provider) -> None:
    """In one order, at most 200 at once, with the attributes that are asked for; what is not known is refused."""
    users = [await provider.user(f"user-{number}") for number in range(5)]
    page = (await provider.get("/Users", startIndex=2, count=2)).json()
    assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (5, 2, 2)
    assert page["Resources"] == users[1:3]
    beyond, none = await provider.get("/Users", startIndex=9), await provider.get("/Users", startIndex=-3, count=-1)
    assert (beyond.json()["Resources"], none.json()["Resources"], none.json()["startIndex"]) == ([], [], 1)
    some = (await provider.get("/Users", count=10**6, attributes="userName, meta.location")).json()["Resources"][0]
    assert some.keys() == {"schemas", "id", "userName", "meta"}
    less = (await provider.get(f"/Users/{users[0]['id']}", excludedAttributes="meta")).json()
    assert less == {name: value for name, value in users[0].items() if name != "meta"}
    for wanted in ('title eq "x"', 'userName sw "x"', "userName", 'userName eq "a" or id eq "b"', "active eq true"):
        assert refusal(await provider.get("/Users", filter=wanted)) == (400, "invalidFilter"), wanted
    assert refusal(await provider.get("/Users", sortBy="userName")) == (400, "invalidValue")
    assert refusal(await provider.get("/Users", startIndex="x")) == (400, "invalidValue")


async def test_a_foreign_user_looks_like_an_unknown_one(provider: Provider) -> None:
    """AZ4: a user of another tenant, a member without a user, and none; by every method."""
    elsewhere = await provider_of(provider.gateway, provider.gateway.globex)
    foreign = (await elsewhere.user("ada"))["id"]
    page = await provider.gateway.client.get("/v1/members", headers=provider.gateway.acme.key("owner"))
    member = page.json()["data"][0]["id"]
    document = {"schemas": [USER], "userName": "ada"}
    for user in (foreign, member, foreign[:-4] + "0000", "no-id"):
        for answer in (
            await provider.get(f"/Users/{user}"),
            await provider.send("PUT", f"/Users/{user}", document),
            await provider.patch(f"/Users/{user}", {"op": "replace", "path": "active", "value": False}),
            await provider.send("DELETE", f"/Users/{user}"),
        ):
            assert refusal(answer) == (404, None)
            assert answer.json()["detail"] == "Not found. Check the path and the id."
    assert (await elsewhere.get(f"/Users/{foreign}")).json()["active"] is True


async def test_versions_are_compared(provider: Provider) -> None:
    """DA4: ETag, If-None-Match and If-Match, also after a change of the membership by an admin."""
    user = await provider.user("ada")
    path, tag = f"/Users/{user['id']}", user["meta"]["version"]
    headers = {**provider.headers, "If-None-Match": tag}
    assert (await provider.gateway.client.get(f"/scim/v2{path}", headers=headers)).status_code == 304
    disabled = await provider.gateway.client.patch(
        f"/v1/members/{user['id']}", json={"disabled": True}, headers=provider.gateway.acme.key("owner")
    )
    assert disabled.status_code == 200
    document = {"schemas": [USER], "userName": "ada@acme.example"}
    stale = {"If-Match": tag}
    assert refusal(await provider.send("PUT", path, document, **stale)) == (412, None)
    assert refusal(await provider.send("DELETE", path, **stale)) == (412, None)
    current = await provider.get(path)
    assert current.json()["active"] is False
    assert (await provider.send("PUT", path, document, **{"If-Match": current.headers["etag"]})).status_code == 200
    assert (await provider.get(path)).json()["active"] is False, "what is left out of active stays"


async def test_only_a_key_made_for_it_is_admitted(provider: Provider) -> None:
    """AZ1, AZ3: with the permission and nothing else; the errors are SCIM's."""
    client, acme = provider.gateway.client, provider.gateway.acme
    for headers, expected in (({}, 401), ({"X-API-Key": "tn_live_x"}, 401), (acme.key("member"), 403)):
        answer = await client.get("/scim/v2/Users", headers=headers)
        assert refusal(answer) == (expected, None)
        assert ("www-authenticate" in answer.headers) is (expected == 401)
    assert (await client.get("/v1/me", headers=dict(provider.headers))).json()["permissions"] == ["scim:manage"]
    for path in ("/v1/members", "/v1/contacts"):
        assert (await client.get(path, headers=dict(provider.headers))).status_code == 403
    role = {"name": "directory", "permissions": ["scim:manage"]}
    assert (await client.post("/v1/roles", json=role, headers=acme.key("admin"))).status_code == 201
    made = await client.post("/v1/api-keys", json={"name": "own", "role": "directory"}, headers=acme.key("admin"))
    assert (await client.get("/scim/v2/Users", headers={"X-API-Key": made.json()["secret"]})).status_code == 200


async def test_a_synchronisation_has_windows_of_its_own(gateways: GatewayFactory) -> None:
    """TH6, TH10: wider than those of management, which it leaves alone; a refusal says how long to wait."""
    async with gateways(management_requests=20, principal_management_requests=10, scim_requests=30) as gateway:
        provider = await provider_of(gateway)
        answers = [await provider.get("/Users", count=1) for _ in range(35)]
        assert {each.headers["ratelimit-policy"] for each in answers} == {'"tenant";q=60;w=60, "principal";q=30;w=60'}
        assert [each.status_code for each in answers[:25]] == [200] * 25
        refused = answers[-1]
        assert refusal(refused) == (429, None)
        assert 1 <= int(refused.headers["retry-after"]) <= 61
        assert (await gateway.client.get("/v1/me", headers=dict(provider.headers))).status_code == 200


async def test_responses_are_what_the_document_describes(provider: Provider) -> None:
    """Resources, lists and errors, by the schemas of the OpenAPI document."""
    user = await provider.user("ada", title="Analyst", emails=[{"value": "a@b.example", "primary": True}])
    group = await provider.group("Staff", user["id"])
    document = provider.gateway.client.get("/openapi.json")
    schemas = (await document).json()["components"]["schemas"]
    for name, value in (
        ("ScimUser", user),
        ("ScimGroup", group),
        ("ScimUserList", (await provider.get("/Users")).json()),
        ("ScimGroupList", (await provider.get("/Groups")).json()),
        ("ScimDescriptionList", (await provider.get("/Schemas")).json()),
        ("ScimError", (await provider.get("/Schemas/none")).json()),
    ):
        within = {"components": {"schemas": schemas}, "$ref": f"#/components/schemas/{name}"}
        jsonschema_rs.validator_for(within, validate_formats=True).validate(value)


async def test_a_directory_adds_no_more_members_than_the_plan_includes(provider: Provider, gateway: Gateway) -> None:
    """At the bound, and one beyond, which adds no one."""
    count = (
        "SELECT count(*) FROM tenantry.memberships JOIN tenantry.tenants ON tenants.id = tenant_id WHERE slug = 'acme'"
    )
    ((members,),) = execute(gateway, count)
    features = "UPDATE tenantry.plans SET features = features || jsonb_build_object('members', %s::int)"
    execute(gateway, features, members + 1)
    first, second = [
        await provider.send("POST", "/Users", {"schemas": [USER], "userName": f"{name}@acme.example"})
        for name in ("first", "second")
    ]
    assert first.status_code == 201
    assert refusal(second) == (403, None)
    assert execute(gateway, count) == [(members + 1,)]
