"""Rotation: one successor, narrower scopes, and responses that warn of the end of the old key."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import psycopg
import pytest

from gateway.identity.ending import warnings_of
from tenants.principal import KeyEnding
from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio
_KEYS = "/v1/api-keys"
_DAY = 86_400
_ORIGIN = "https://app.acme.example"


def _holding(made: dict[str, Any]) -> dict[str, str]:
    return {"X-API-Key": made["secret"]}


async def _made(gateway: Gateway, **wanted: Any) -> dict[str, Any]:
    body = {"name": "a key", "role": "member", **wanted}
    answer = await gateway.client.post(_KEYS, json=body, headers=gateway.acme.key("admin"))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def _rotate(gateway: Gateway, key: dict[str, Any], **wanted: Any) -> httpx.Response:
    return await gateway.client.post(f"{_KEYS}/{key['id']}/rotate", json=wanted, headers=gateway.acme.key("admin"))


async def test_a_rotation_can_narrow_the_scopes(gateway: Gateway) -> None:
    """AZ5: the new key has those that were asked for; the old one keeps its own until it ends."""
    old = await _made(gateway, scopes=["contacts:read", "contacts:create"], metadata={"team": "a"}, description="d")
    new = (await _rotate(gateway, old, overlap_seconds=60, scopes=["contacts:read"])).json()
    assert (new["scopes"], new["metadata"], new["description"]) == (["contacts:read"], {"team": "a"}, "d")
    held = [(await gateway.client.get("/v1/me", headers=_holding(key))).json()["permissions"] for key in (old, new)]
    assert held == [["contacts:create", "contacts:read"], ["contacts:read"]]


async def test_twenty_rotations_at_once_make_one_successor(gateway: Gateway) -> None:
    """ID16: the others are told that the key has one."""
    old = await _made(gateway)
    answers = await asyncio.gather(*(_rotate(gateway, old, overlap_seconds=60) for _ in range(20)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
    with psycopg.connect(gateway.urls.owner) as connection:
        query = "SELECT count(*) FROM tenantry.api_keys WHERE rotated_from_id IS NOT NULL"
        assert connection.execute(query).fetchone() == (1,)


async def test_responses_to_a_rotated_key_warn_of_its_end(gateway: Gateway) -> None:
    """RFC 9745, RFC 8594: since when it has a successor and when it ends, in every response, readable for pages."""
    await gateway.client.patch("/v1/tenant", json={"allowed_origins": [_ORIGIN]}, headers=gateway.acme.key("admin"))
    old = await _made(gateway)
    before = await gateway.client.get("/v1/me", headers=_holding(old))
    assert not {"deprecation", "sunset"} & set(before.headers)
    started = int(time.time())
    new = (await _rotate(gateway, old, overlap_seconds=3600)).json()
    shown = (await gateway.client.get(f"{_KEYS}/{old['id']}", headers=gateway.acme.key("admin"))).json()
    assert shown["status"] == "rotating"
    for path in ("/v1/me", "/v1/contacts", "/v1/contacts/unknown", "/v1/api-keys", "/v1/nothing"):
        answer = await gateway.client.get(path, headers={**_holding(old), "Origin": _ORIGIN})
        assert started <= int(answer.headers["deprecation"].removeprefix("@")) <= time.time(), path
        sunset = parsedate_to_datetime(answer.headers["sunset"])
        assert sunset == datetime.fromisoformat(shown["expires_at"]).replace(microsecond=0)
        assert "Deprecation, Sunset" in answer.headers["access-control-expose-headers"]
    after = await gateway.client.get("/v1/me", headers=_holding(new))
    assert not {"deprecation", "sunset"} & set(after.headers)
    shorter = (datetime.now(UTC) + timedelta(minutes=5)).replace(microsecond=0)
    sent = {"expires_at": shorter.isoformat()}
    await gateway.client.patch(f"{_KEYS}/{old['id']}", json=sent, headers=gateway.acme.key("admin"))
    answer = await gateway.client.get("/v1/me", headers=_holding(old))
    assert parsedate_to_datetime(answer.headers["sunset"]) == shorter


async def test_a_key_that_expires_warns_in_its_last_seven_days(gateway: Gateway) -> None:
    """Its expiry alone deprecates nothing: there is no successor. At the bound and beyond."""
    now = time.time()
    assert [name for name, _ in warnings_of(KeyEnding(now + 7 * _DAY - 1))] == [b"sunset"]
    assert list(warnings_of(KeyEnding(now + 7 * _DAY + 60))) == []
    assert [name for name, _ in warnings_of(KeyEnding(now + 30 * _DAY, now))] == [b"deprecation", b"sunset"]
    end = (datetime.now(UTC) + timedelta(days=6)).replace(microsecond=0)
    made = await _made(gateway, expires_at=end.isoformat())
    answer = await gateway.client.get("/v1/me", headers=_holding(made))
    assert parsedate_to_datetime(answer.headers["sunset"]) == end
    assert "deprecation" not in answer.headers
