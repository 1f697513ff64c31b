"""A key's own limits bind its successors and its children, in all depth, over the same counters (ID16)."""

from typing import Any

import httpx
import psycopg
import pytest

from tenants.api_keys.family import MOST_LIMITS
from tests.fixtures.gateways import PASSWORD, Gateway

pytestmark = pytest.mark.anyio

_KEYS = "/v1/api-keys"
_FIVE = {"name": "own", "quota": 5, "window_seconds": 60}
_TWO = {"name": "own", "quota": 2, "window_seconds": 60}


def _holding(made: dict[str, Any]) -> dict[str, str]:
    return {"X-API-Key": made["secret"]}


async def _create(gateway: Gateway, headers: dict[str, str], **wanted: Any) -> httpx.Response:
    return await gateway.client.post(_KEYS, json={"name": "a key", "role": "admin", **wanted}, headers=headers)


async def _made(gateway: Gateway, headers: dict[str, str], **wanted: Any) -> dict[str, Any]:
    answer = await _create(gateway, headers, **wanted)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def _rotated(
    gateway: Gateway, key: dict[str, Any], headers: dict[str, str], overlap_seconds: int = 0
) -> dict[str, Any]:
    body = {"overlap_seconds": overlap_seconds}
    answer = await gateway.client.post(f"{_KEYS}/{key['id']}/rotate", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def _admitted(gateway: Gateway, key: dict[str, Any], count: int) -> int:
    """How many of so many requests for data are admitted."""
    answers = [await gateway.client.get("/v1/contacts", headers=_holding(key)) for _ in range(count)]
    assert {answer.status_code for answer in answers} <= {200, 429}
    return sum(answer.status_code == 200 for answer in answers)


async def _limited(gateway: Gateway, *limits: dict[str, Any]) -> dict[str, Any]:
    """A key of a person, with these limits."""
    email = gateway.acme.emails["owner"]
    answer = await gateway.client.post("/v1/auth/login", json={"email": email, "password": PASSWORD, "tenant": "acme"})
    person = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    return await _made(gateway, person, limits=limits)


async def test_a_limit_is_not_left_behind_by_rotation(gateway: Gateway) -> None:
    """ID16: five a minute are five, through ten successors."""
    key, admitted = await _limited(gateway, _FIVE), 0
    for _ in range(10):
        admitted += await _admitted(gateway, key, 2)
        key = await _rotated(gateway, key, _holding(key))
    assert admitted == 5
    assert key["limits"] == [_FIVE]


async def test_a_limit_is_not_multiplied_by_making_keys(gateway: Gateway) -> None:
    """ID16: children, their children, and the key itself, in any order."""
    key = await _limited(gateway, _FIVE)
    children = [await _made(gateway, _holding(key)) for _ in range(4)]
    grandchildren = [await _made(gateway, _holding(each)) for each in children]
    family = [*grandchildren, *children, key, *children]
    assert sum([await _admitted(gateway, each, 2) for each in family]) == 5
    assert {tuple(each["limits"][0].values()) for each in family} == {tuple(_FIVE.values())}


async def test_a_tighter_limit_of_a_child_comes_on_top(gateway: Gateway) -> None:
    """ID16: it binds the child and what the child makes, and its maker's limit binds them all."""
    key = await _limited(gateway, _FIVE)
    child = await _made(gateway, _holding(key), limits=[_TWO])
    grandchild = await _made(gateway, _holding(child))
    sibling = await _made(gateway, _holding(key))
    assert await _admitted(gateway, child, 1) + await _admitted(gateway, grandchild, 3) == 2
    assert await _admitted(gateway, sibling, 5) == 3
    assert await _admitted(gateway, key, 2) == 0
    answer = await gateway.client.get("/v1/contacts", headers=_holding(grandchild))
    assert answer.headers["ratelimit-policy"].endswith('"own";q=2;w=60, "key-own";q=5;w=60')


async def test_two_keys_of_one_family_share_a_limit_during_an_overlap(gateway: Gateway) -> None:
    """ID16: the old key works on, and counts with its successor."""
    old = await _limited(gateway, _FIVE)
    new = await _rotated(gateway, old, gateway.acme.key("owner"), overlap_seconds=60)
    assert await _admitted(gateway, old, 3) + await _admitted(gateway, new, 3) == 5


async def test_the_end_of_the_first_key_frees_nobody(gateway: Gateway) -> None:
    """ID16: revoked or rotated, its children stay bound, and so does what they make."""
    admin, key = gateway.acme.key("owner"), await _limited(gateway, _FIVE)
    child = await _made(gateway, _holding(key))
    successor = await _rotated(gateway, key, admin)
    assert await _admitted(gateway, child, 3) == 3
    revoked = await gateway.client.post(f"{_KEYS}/{successor['id']}/revoke", headers=admin)
    assert revoked.status_code == 204
    grandchild = await _made(gateway, _holding(child))
    assert await _admitted(gateway, grandchild, 3) + await _admitted(gateway, child, 3) == 2


async def test_a_key_that_rotates_another_binds_the_successor(gateway: Gateway) -> None:
    """ID16: it gets the secret of a key without limits, which counts with its own requests from then on."""
    key, admitted = await _limited(gateway, _FIVE), 0
    for _ in range(3):
        other = await _made(gateway, gateway.acme.key("owner"))
        taken = await _rotated(gateway, other, _holding(key))
        admitted += await _admitted(gateway, taken, 4)
    assert admitted + await _admitted(gateway, key, 1) == 5


async def test_a_key_is_bound_by_at_most_ten_limits(gateway: Gateway) -> None:
    """ID16: what a request costs is bounded, however deep its family is. At the bound a key still makes keys."""

    def tighter(quota: int) -> list[dict[str, Any]]:
        return [{"name": f"w{length}", "quota": quota, "window_seconds": length} for length in range(60, 65)]

    key = await _limited(gateway, *tighter(100))
    child = await _made(gateway, _holding(key), limits=tighter(90))
    grandchild = await _made(gateway, _holding(child))
    answer = await gateway.client.get("/v1/contacts", headers=_holding(grandchild))
    assert answer.headers["ratelimit-policy"].count("w6") == MOST_LIMITS
    refused = await _create(gateway, _holding(child), limits=tighter(80)[:1])
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "10 limits" in refused.json()["detail"]
    assert await _admitted(gateway, await _rotated(gateway, child, _holding(child)), 1) == 1


async def test_a_key_of_an_older_release_keeps_its_limit_and_passes_it_on(gateway: Gateway) -> None:
    """OP4, ID16: it has no family recorded; its limits are its own, and bind what it makes from now on."""
    old = await _limited(gateway, _FIVE)
    with psycopg.connect(gateway.urls.owner) as connection:
        as_before = "UPDATE tenantry.api_keys SET binding_limits = NULL, family_id = NULL, made_by_key = false"
        assert connection.execute(as_before).rowcount > 0
    await gateway.catch_up()
    child = await _made(gateway, _holding(old))
    assert await _admitted(gateway, old, 3) + await _admitted(gateway, child, 3) == 5
