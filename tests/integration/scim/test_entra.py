"""The requests of Microsoft Entra, before and after its flag ``aadOptscim062020``.

Source: Microsoft Learn, "Develop and plan provisioning for a SCIM endpoint" and "Known issues and resolutions with
SCIM 2.0 protocol compliance of the Microsoft Entra user provisioning service".
"""

from typing import Any

import pytest

from tests.fixtures.gateways import Gateway
from tests.fixtures.scim import ENTERPRISE, GROUP, USER, Provider, provider_of, refusal

pytestmark = pytest.mark.anyio
_NAME = "Test_User_00aa00aa-bb11-cc22-dd33-44ee44ee44ee"
_MAIL = "Test_User_11bb11bb@testuser.example"
_PROFILE = {
    "schemas": [USER, ENTERPRISE],
    "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
    "userName": _NAME,
    "active": True,
    "emails": [{"primary": True, "type": "work", "value": _MAIL}],
    "meta": {"resourceType": "User"},
    "name": {"formatted": "givenName familyName", "familyName": "familyName", "givenName": "givenName"},
    "roles": [],
}


@pytest.fixture
async def entra(gateway: Gateway) -> Provider:
    return await provider_of(gateway)


async def _created(entra: Provider) -> str:
    answer = await entra.send("POST", "/Users", _PROFILE)
    assert answer.status_code == 201, answer.text
    return f"/Users/{answer.json()['id']}"


async def test_the_connection_is_tested(entra: Provider) -> None:
    """A user that does not exist is queried; schemas, types and features are discovered."""
    answer = await entra.get("/Users", filter='userName eq "non-existent user"')
    assert (answer.status_code, answer.json()["totalResults"], answer.json()["Resources"]) == (200, 0, [])
    schemas = (await entra.get("/Schemas")).json()
    by_id = {each["id"]: each for each in schemas["Resources"]}
    assert schemas["totalResults"] == len(by_id) == 3
    attributes = {each["name"]: each for each in by_id[USER]["attributes"]}
    assert attributes["userName"] | {"description": ""} == {
        "name": "userName",
        "type": "string",
        "multiValued": False,
        "description": "",
        "required": True,
        "caseExact": False,
        "mutability": "readWrite",
        "returned": "default",
        "uniqueness": "server",
    }
    assert [each["name"] for each in attributes["emails"]["subAttributes"]] == ["value", "display", "type", "primary"]
    assert (await entra.get(f"/Schemas/{ENTERPRISE}")).json() == by_id[ENTERPRISE]
    assert refusal(await entra.get("/Schemas/urn:example")) == (404, None)
    types = (await entra.get("/ResourceTypes")).json()["Resources"]
    assert [(each["endpoint"], each["schema"]) for each in types] == [("/Users", USER), ("/Groups", GROUP)]
    assert (await entra.get("/ResourceTypes/User")).json() == types[0]
    config = (await entra.get("/ServiceProviderConfig")).json()
    assert (config["patch"], config["filter"]) == ({"supported": True}, {"supported": True, "maxResults": 200})


async def test_a_person_is_matched_by_each_matching_attribute(entra: Provider) -> None:
    path = await _created(entra)
    for wanted in (
        f'userName eq "{_NAME}"',
        'externalId eq "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef"',
        f'emails[type eq "work"].value eq "{_MAIL}"',
        f'id eq "{path[7:]}" and userName eq "{_NAME}"',
    ):
        assert (await entra.get("/Users", filter=wanted)).json()["totalResults"] == 1, wanted
        assert (await entra.get("/Users", filter=wanted + ' and externalId eq "x"')).json()["totalResults"] == 0, wanted
    member = await entra.member(path[7:])
    assert (member["email"], member["disabled"]) == (_MAIL, False), "the account has the mail address, not the userName"


@pytest.mark.parametrize("is_compliant", [False, True])
async def test_a_person_is_updated_disabled_and_deleted(entra: Provider, *, is_compliant: bool) -> None:
    """In the form with the flag and in the one without it."""
    path = await _created(entra)
    number = f"{ENTERPRISE}:employeeNumber"
    email: dict[str, Any] = {"path": 'emails[type eq "work"].value', "value": "updated@testuser.example"}
    if is_compliant:
        values = {"displayName": "Bjfe", "name.givenName": "Kkom", "name.familyName": "Unua", number: "Aklq"}
        update = [{"op": "replace", **email}, {"op": "replace", "value": values}]
        disable: dict[str, Any] = {"op": "replace", "path": "active", "value": False}
    else:
        pairs = {"displayName": "Bjfe", "name.givenName": "Kkom", "name.familyName": "Unua", number: "Aklq"}
        update = [{"op": "Replace", **email}, *({"op": "Add", "path": each, "value": pairs[each]} for each in pairs)]
        disable = {"op": "Replace", "path": "active", "value": "False"}
    answer = await entra.patch(path, *update)
    assert answer.status_code == 200, answer.text
    user = answer.json()
    assert user["emails"] == [{"primary": True, "type": "work", "value": "updated@testuser.example"}]
    assert (user["displayName"], user["name"]["givenName"], user["name"]["familyName"]) == ("Bjfe", "Kkom", "Unua")
    assert (user[ENTERPRISE], user["schemas"]) == ({"employeeNumber": "Aklq"}, [USER, ENTERPRISE])
    renamed = await entra.patch(path, {"op": "Replace", "path": "userName", "value": "other@testuser.example"})
    assert renamed.json()["userName"] == "other@testuser.example"
    assert (await entra.patch(path, disable)).json()["active"] is False
    assert (await entra.member(path[7:]))["disabled"] is True
    assert (await entra.get(path)).json()["active"] is False
    assert (await entra.send("DELETE", path)).status_code == 204
    assert await entra.member(path[7:]) == {}
    assert refusal(await entra.get(path)) == (404, None)


@pytest.mark.parametrize("is_compliant", [False, True])
async def test_a_group_is_created_filled_renamed_and_deleted(entra: Provider, *, is_compliant: bool) -> None:
    """Members are left out of what is read, and asked for by a filter."""
    users = [(await entra.user(name))["id"] for name in ("ada", "bea")]
    odd = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
    body = {
        "schemas": [GROUP, odd],
        "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159",
        "displayName": "displayName",
        "meta": {"resourceType": "Group"},
    }
    created = await entra.send("POST", "/Groups", body)
    assert created.status_code == 201, created.text
    group = created.json()["id"]
    path = f"/Groups/{group}"
    named = await entra.get("/Groups", excludedAttributes="members", filter='displayName eq "displayName"')
    assert [each["id"] for each in named.json()["Resources"]] == [group]
    assert "members" not in named.json()["Resources"][0]
    assert "members" not in (await entra.get(path, excludedAttributes="members")).json()

    async def has(user: str) -> int:
        wanted = f'id eq "{group}" and members eq "{user}"'
        return int((await entra.get("/Groups", filter=wanted, attributes="id")).json()["totalResults"])

    add = {"op": "Add", "path": "members", "value": [{"$ref": None, "value": each} for each in users]}
    rename = {"op": "Replace", "path": "displayName", "value": "Renamed"}
    assert [(await entra.patch(path, each)).status_code for each in (add, rename)] == [204, 204]
    assert [await has(each) for each in users] == [1, 1]
    if is_compliant:
        remove: dict[str, Any] = {"op": "remove", "path": f'members[value eq "{users[0]}"]'}
    else:
        remove = {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": users[0]}]}
    assert (await entra.patch(path, remove)).status_code == 204
    assert [await has(each) for each in users] == [0, 1]
    assert (await entra.get(path)).json()["displayName"] == "Renamed"
    assert (await entra.send("DELETE", path)).status_code == 204
    assert await has(users[1]) == 0
