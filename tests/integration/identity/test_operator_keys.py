"""Operator keys over HTTP: made, listed, limited by their role, revoked, and expired."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

_KEYS = "/operator/v1/operator-keys"
_TENANTS = "/operator/v1/tenants"


async def _make(gateway: Gateway, **body: Any) -> dict[str, Any]:
    response = await gateway.client.post(_KEYS, json={"name": "a key", **body}, headers=gateway.operator)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    assert response.headers["location"] == f"{_KEYS}/{made['id']}"
    return made


def _sent(key: dict[str, Any]) -> dict[str, str]:
    return {"X-API-Key": key["secret"]}


async def test_a_key_is_made_listed_read_and_revoked(gateway: Gateway) -> None:
    """AZ8: its secret is shown once; ID4: revoked, it is refused by the next request."""
    made = await _make(gateway, role="support")
    secret = made.pop("secret")
    listed = (await gateway.client.get(_KEYS, headers=gateway.operator)).json()["data"]
    assert listed[0] == made
    assert secret not in str(listed)
    one = await gateway.client.get(f"{_KEYS}/{made['id']}", headers={"X-API-Key": secret})
    assert one.json() == made
    assert "etag" in one.headers
    revoke = f"{_KEYS}/{made['id']}/revoke"
    assert (await gateway.client.post(revoke, headers=gateway.operator)).status_code == 204
    await gateway.catch_up()
    refused = await gateway.client.get(_KEYS, headers={"X-API-Key": secret})
    assert (refused.status_code, refused.json()["code"]) == (401, "credential_revoked")
    assert (await gateway.client.post(revoke, headers=gateway.operator)).status_code == 204  # again: still revoked


async def test_support_reads_and_changes_nothing(gateway: Gateway) -> None:
    """AZ1: the refusal names the role that is needed."""
    support = _sent(await _make(gateway, role="support"))
    assert (await gateway.client.get(_TENANTS, headers=support)).status_code == 200
    for path, body in ((_TENANTS, {"slug": "new", "name": "New"}), (_KEYS, {"name": "mine", "role": "admin"})):
        refused = await gateway.client.post(path, json=body, headers=support)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert refused.json()["detail"] == "An operator key with the role admin is required."


async def test_a_verifier_reads_nothing(gateway: Gateway) -> None:
    """A key in a service that verifies credentials must not give away who the tenants are, nor the metrics."""
    verifier, support = [_sent(await _make(gateway, role=role)) for role in ("verifier", "support")]
    forwarded = {"x-forwarded-for": "203.0.113.7"}  # from no network that may read metrics
    assert (await gateway.client.get("/metrics", headers=verifier | forwarded)).status_code == 404
    assert (await gateway.client.get("/metrics", headers=support | forwarded)).status_code == 200
    for path in (_TENANTS, _KEYS, "/operator/v1/plans"):
        refused = await gateway.client.get(path, headers=verifier)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_a_key_ends_at_its_time(gateway: Gateway) -> None:
    """Never with a time that has passed."""
    soon = datetime.now(UTC) + timedelta(seconds=1)
    key = _sent(await _make(gateway, role="admin", expires_at=soon.isoformat()))
    while datetime.now(UTC) < soon:
        await gateway.client.get(_KEYS, headers=key)
    refused = await gateway.client.get(_KEYS, headers=key)
    assert (refused.status_code, refused.json()["code"]) == (401, "credential_expired")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"role": "root"}, "/role"),
        ({}, "/role"),
        ({"role": "admin", "name": ""}, "/name"),
        ({"role": "admin", "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"role": "admin", "tenant": "acme"}, "/tenant"),
    ],
)
async def test_a_bad_request_makes_no_key(gateway: Gateway, body: dict[str, Any], pointer: str) -> None:
    before = (await gateway.client.get(_KEYS, headers=gateway.operator)).json()
    refused = await gateway.client.post(_KEYS, json={"name": "a key", **body}, headers=gateway.operator)
    assert refused.status_code == 422
    assert [each["pointer"] for each in refused.json()["errors"]] == [pointer]
    assert (await gateway.client.get(_KEYS, headers=gateway.operator)).json() == before


async def test_a_tenants_key_reaches_no_operator_key(gateway: Gateway) -> None:
    refused = await gateway.client.get(_KEYS, headers=gateway.acme.key("owner"))
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
