"""``/v1/tenant``: a tenant reads and changes itself."""

from typing import Any

import pytest

from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

_TENANT = "/v1/tenant"


async def test_a_tenant_reads_and_renames_itself(gateway: Gateway) -> None:
    """DA4: with ETag and If-Match; another tenant stays as it is."""
    admin = gateway.acme.key("admin")
    read = await gateway.client.get(_TENANT, headers=admin)
    found = read.json()
    assert (found["slug"], found["name"], found["status"], found["plan"]) == ("acme", "The Company", "active", "scale")
    seen = {**admin, "If-Match": read.headers["etag"]}
    renamed = await gateway.client.patch(_TENANT, json={"name": "Acme Corporation"}, headers=seen)
    assert (renamed.status_code, renamed.json()) == (200, found | {"name": "Acme Corporation"})
    stale = await gateway.client.patch(_TENANT, json={"name": "Acme"}, headers=seen)
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    again = await gateway.client.get(_TENANT, headers=admin | {"If-None-Match": renamed.headers["etag"]})
    assert again.status_code == 304
    unchanged = await gateway.client.patch(_TENANT, json={}, headers=admin)
    assert unchanged.json()["name"] == "Acme Corporation"
    assert (await gateway.client.get(_TENANT, headers=gateway.globex.key("admin"))).json()["name"] == "The Company"


async def test_a_role_of_its_own_may_hold_the_permissions(gateway: Gateway) -> None:
    """AZ1: a member and a viewer may not read it."""
    owner = gateway.acme.key("owner")
    role = {"name": "front-desk", "permissions": ["tenant:read"]}
    assert (await gateway.client.post("/v1/roles", json=role, headers=owner)).status_code == 201
    made = await gateway.client.post("/v1/api-keys", json={"name": "desk", "role": "front-desk"}, headers=owner)
    key = {"X-API-Key": made.json()["secret"]}
    assert (await gateway.client.get(_TENANT, headers=key)).status_code == 200
    assert (await gateway.client.patch(_TENANT, json={"name": "x"}, headers=key)).status_code == 403
    assert (await gateway.client.get(_TENANT, headers=gateway.acme.key("member"))).status_code == 403


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": None}, "/name"),
        ({"name": "a\u202eb"}, "/name"),
        ({"plan": "scale"}, "/plan"),
        ({"slug": "other"}, "/slug"),
        ({"status": "active"}, "/status"),
    ],
)
async def test_what_a_tenant_cannot_change_is_refused(gateway: Gateway, body: dict[str, Any], pointer: str) -> None:
    """AZ7: unknown and read-only fields are 422."""
    refused = await gateway.client.patch(_TENANT, json=body, headers=gateway.acme.key("owner"))
    assert (refused.status_code, [each["pointer"] for each in refused.json()["errors"]]) == (422, [pointer])
