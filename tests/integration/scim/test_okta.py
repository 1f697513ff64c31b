"""The requests of Okta, in its order: test of the connection, people, group push.

Source: Okta, "SCIM 2.0 protocol reference" (developer.okta.com/docs/reference/scim/scim-20).
"""

from typing import Any

import pytest

from tests.fixtures.gateways import PASSWORD, Gateway
from tests.fixtures.scim import GROUP, LIST, USER, Provider, provider_of, refusal

pytestmark = pytest.mark.anyio
_ADA = "ada.lovelace@okta.example"
_PROFILE = {
    "schemas": [USER],
    "userName": _ADA,
    "name": {"givenName": "Ada", "familyName": "Lovelace"},
    "emails": [{"primary": True, "value": _ADA, "type": "work"}],
    "displayName": "Ada Lovelace",
    "locale": "en-GB",
    "externalId": "00ujl29u0le5T6Aj10h7",
    "groups": [],
    "password": "a long enough passphrase",
    "active": True,
}


@pytest.fixture
async def okta(gateway: Gateway) -> Provider:
    return await provider_of(gateway)


async def _found(okta: Provider, name: str) -> list[dict[str, Any]]:
    answer = await okta.get("/Users", filter=f'userName eq "{name}"', startIndex=1, count=100)
    assert answer.status_code == 200, answer.text
    assert answer.json()["totalResults"] == len(answer.json()["Resources"])
    return list(answer.json()["Resources"])


async def _log_in(okta: Provider) -> int:
    body = {"email": _ADA, "password": PASSWORD, "tenant": "acme"}
    return (await okta.gateway.client.post("/v1/auth/login", json=body)).status_code


async def test_the_connection_is_tested(okta: Provider) -> None:
    """Users and groups are listed before there are any; the indexes are integers."""
    empty = {"schemas": [LIST], "totalResults": 0, "startIndex": 1, "itemsPerPage": 0, "Resources": []}
    assert (await okta.get("/Users", startIndex=1, count=2)).json() == empty
    answer = await okta.get("/Groups", startIndex=1, count=100)
    assert (answer.headers["content-type"], answer.json()) == ("application/scim+json", empty)


async def test_a_person_is_provisioned_updated_deactivated_and_reactivated(okta: Provider) -> None:
    """ID15: queried, created, read, replaced, then without access and with it again, which restores no session."""
    assert await _found(okta, _ADA) == []
    created = await okta.send("POST", "/Users", _PROFILE)
    assert created.status_code == 201, created.text
    user = created.json()
    path = f"/Users/{user['id']}"
    assert created.headers["location"] == user["meta"]["location"] == f"http://gateway.test/scim/v2{path}"
    ignored = {"groups", "password"}
    assert {name: user[name] for name in _PROFILE.keys() - ignored} == {
        name: value for name, value in _PROFILE.items() if name not in ignored
    }
    assert ignored & user.keys() == set()
    assert await _found(okta, _ADA.upper()) == [user]
    assert refusal(await okta.send("POST", "/Users", _PROFILE)) == (409, "uniqueness")
    member = await okta.member(user["id"])
    assert (member["email"], member["roles"], member["disabled"]) == (_ADA, ["member"], False)

    body = (await okta.get(path)).json()
    body["name"] = {"givenName": "Ada", "middleName": "", "familyName": "King"}
    replaced = await okta.send("PUT", path, body)
    assert (replaced.status_code, replaced.json()["name"]) == (200, body["name"])

    assert await _log_in(okta) == 401, "no password was set by SCIM"
    deactivated = await okta.patch(path, {"op": "replace", "value": {"active": False}})
    assert (deactivated.status_code, deactivated.json()["active"]) == (200, False)
    assert (await okta.member(user["id"]))["disabled"] is True
    again = await okta.send("PUT", path, body)  # as a custom integration does; the body says active
    assert (again.status_code, again.json()["active"]) == (200, True)
    assert (await okta.member(user["id"]))["disabled"] is False


async def test_groups_are_pushed_renamed_and_deleted(okta: Provider) -> None:
    """Members by PATCH one by one and as a whole, and by PUT; the group is read with them."""
    users = [(await okta.user(name))["id"] for name in ("ada", "bea", "cleo")]
    created = await okta.send("POST", "/Groups", {"schemas": [GROUP], "displayName": "Test SCIMv2", "members": []})
    assert (created.status_code, created.json()["members"]) == (201, [])
    group = created.json()["id"]
    path = f"/Groups/{group}"

    async def members() -> list[str]:
        return [each["value"] for each in (await okta.get(path)).json()["members"]]

    member = {"value": users[0], "display": "ada@acme.example"}
    assert (await okta.patch(path, {"op": "add", "path": "members", "value": [member]})).status_code == 204
    rename = {"op": "replace", "value": {"id": group, "displayName": "Renamed"}}
    swap = (
        {"op": "remove", "path": f'members[value eq "{users[0]}"]'},
        {"op": "add", "path": "members", "value": [{"value": users[1]}, {"value": users[2]}]},
    )
    assert [(await okta.patch(path, *each)).status_code for each in ((rename,), swap)] == [204, 204]
    assert await members() == users[1:]
    whole = {"op": "replace", "path": "members", "value": [{"value": users[0]}, {"value": users[1]}]}
    assert (await okta.patch(path, whole)).status_code == 204
    assert await members() == users[:2]
    shown = (await okta.get(path)).json()
    assert (shown["displayName"], shown["members"][0]["display"]) == ("Renamed", "ada@acme.example")

    put = {"schemas": [GROUP], "displayName": "Put", "members": [{"value": users[2]}]}
    answer = await okta.send("PUT", path, put)
    assert (answer.status_code, answer.json()["displayName"]) == (200, "Put")
    assert await members() == users[2:]
    named = {"schemas": [GROUP], "displayName": "Without members"}
    assert len((await okta.send("PUT", path, named)).json()["members"]) == 1, "left out, they stay"
    assert (await okta.send("DELETE", path)).status_code == 204
    assert refusal(await okta.get(path)) == (404, None)
