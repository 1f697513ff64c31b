"""What a key is created with over HTTP, as clients write it and as earlier releases stored it."""

from typing import Any

import psycopg
import pytest

from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio
_KEYS = "/v1/api-keys"


async def _made(gateway: Gateway, headers: dict[str, str], **wanted: Any) -> dict[str, Any]:
    answer = await gateway.client.post(_KEYS, json={"name": "a key", "role": "viewer", **wanted}, headers=headers)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def _holding(made: dict[str, Any]) -> dict[str, str]:
    return {"X-API-Key": made["secret"]}


async def test_a_key_takes_every_spelling_of_a_time_a_number_and_a_network(gateway: Gateway) -> None:
    """DA1: RFC 3339 with nine digits and a leap second, 348.0, and a network mapped into IPv6."""
    limit = {"name": "burst", "quota": 348.0, "window_seconds": 1.0}
    made = await _made(
        gateway,
        gateway.acme.key("admin"),
        expires_at="2089-12-31t23:59:60.123456789z",
        limits=[limit],
        allowed_cidrs=["::ffff:127.0.0.0/104"],
    )
    assert made["expires_at"] == "2090-01-01T00:00:00.123456Z"
    assert (made["limits"], made["allowed_cidrs"]) == ([limit], ["127.0.0.0/8"])
    assert (await gateway.client.get("/v1/me", headers=_holding(made))).status_code == 200
    path = f"{_KEYS}/{made['id']}/rotate"
    rotated = await gateway.client.post(path, json={"overlap_seconds": 2.0}, headers=gateway.acme.key("admin"))
    assert rotated.status_code == 201


async def test_a_stored_network_that_is_mapped_or_has_a_zone_id_still_works(gateway: Gateway) -> None:
    """Rows of releases that stored what was sent: the mapped network admits its clients, and the key can be rotated."""
    admin = gateway.acme.key("admin")
    made = await _made(gateway, admin, allowed_cidrs=["10.0.0.0/8"])
    with psycopg.connect(gateway.urls.owner) as connection:
        networks = ["fe80::1%eth0/128", "::ffff:127.0.0.0/104"]
        change = "UPDATE tenantry.api_keys SET allowed_cidrs = %s WHERE last4 = %s"
        connection.execute(change, [networks, made["last4"]])
    assert (await gateway.client.get("/v1/me", headers=_holding(made))).status_code == 200
    assert (await gateway.client.post(f"{_KEYS}/{made['id']}/rotate", headers=admin)).status_code == 201


async def test_a_key_of_a_test_environment_is_not_rotated(gateway: Gateway) -> None:
    """A key from before ``tn_test_`` was reserved: the refusal is that of a new one, and the key stays as it is."""
    admin = gateway.acme.key("admin")
    made = await _made(gateway, admin)
    with psycopg.connect(gateway.urls.owner) as connection:
        connection.execute("UPDATE tenantry.api_keys SET environment = 'test' WHERE last4 = %s", [made["last4"]])
    refused = await gateway.client.post(f"{_KEYS}/{made['id']}/rotate", headers=admin)
    wanted = {"name": "a key", "role": "viewer", "environment": "test"}
    created = await gateway.client.post(_KEYS, json=wanted, headers=admin)
    assert (refused.status_code, refused.json()["errors"]) == (422, created.json()["errors"])
    assert refused.json()["errors"][0]["code"] == "not_available"
    assert (await gateway.client.get("/v1/me", headers=_holding(made))).status_code == 200
