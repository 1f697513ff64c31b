"""What an identity provider does, and what admins make of its groups, is in the tenant's audit log."""

import json

import pytest

from tenants.identifiers import read
from tests.fixtures.events import events_of
from tests.fixtures.gateways import Gateway
from tests.fixtures.scim import USER, provider_of

pytestmark = pytest.mark.anyio


async def test_changes_are_recorded_once_and_without_personal_data(gateway: Gateway) -> None:
    """AU1: by the provider's key; what changes nothing has no row; of a group, who was added and removed."""
    provider = await provider_of(gateway)
    document = {"schemas": [USER], "userName": "ada@acme.example", "phoneNumbers": [{"value": "+44 20 7946 0000"}]}
    user = (await provider.send("POST", "/Users", document)).json()["id"]
    path = f"/Users/{user}"
    for _ in range(2):
        await provider.send("PUT", path, document)
        await provider.patch(path, {"op": "replace", "value": {"active": False, "title": "Analyst"}})
        await provider.patch(path, {"op": "remove", "path": "title"}, {"op": "add", "path": "active", "value": True})
    group = (await provider.group("Staff", user))["id"]
    for _ in range(2):
        assert (await provider.map(group, "viewer")).status_code == 200
        await provider.patch(f"/Groups/{group}", {"op": "remove", "path": "members"})
    await provider.send("DELETE", f"/Groups/{group}")
    await provider.send("DELETE", path)
    settings = {"default_role": "viewer"}
    await gateway.client.patch("/v1/scim/settings", json=settings, headers=gateway.acme.key("owner"))
    events = events_of(gateway.urls, gateway.acme.ref)
    update = ("members.updated", "scim_users.updated")
    assert [event["type"] for event in events][1:] == [
        *("members.added", "scim_users.created", *update * 4, "scim_groups.created", "scim_groups.mapped"),
        *("scim_groups.updated", "scim_groups.deleted", "members.removed", "scim_settings.updated"),
    ]
    me = await gateway.client.get("/v1/me", headers=dict(provider.headers))
    key = read("key", me.json()["principal"]["id"])
    assert {
        event["actor_id"] for event in events[1:] if not event["type"].endswith(("mapped", "settings.updated"))
    } == {key}
    updated = next(event for event in events if event["type"] == "scim_users.updated")
    assert updated["after"] == updated["before"] | {"active": False, "changed": ["active", "title"]}
    of_groups = {event["type"]: event for event in events}
    assert of_groups["scim_groups.created"]["after"]["members_added"] == [user]
    assert of_groups["scim_groups.mapped"]["after"]["role"] == "viewer"
    assert of_groups["scim_groups.updated"]["after"]["members_removed"] == [user]
    assert "7946" not in json.dumps(events, default=str)
