"""``/v1/api-keys`` over HTTP: create, read, list, rotate, revoke; no key exceeds its creator (AZ5)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from tests.fixtures.gateways import PASSWORD, Gateway, SeededTenant

pytestmark = pytest.mark.anyio
_KEYS = "/v1/api-keys"


async def _create(gateway: Gateway, headers: dict[str, str], **wanted: Any) -> httpx.Response:
    return await gateway.client.post(_KEYS, json={"name": "a key", "role": "viewer", **wanted}, headers=headers)


async def _made(gateway: Gateway, headers: dict[str, str], **wanted: Any) -> dict[str, Any]:
    answer = await _create(gateway, headers, **wanted)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def _owner(gateway: Gateway, tenant: SeededTenant, slug: str, role: str = "owner") -> dict[str, str]:
    wanted = {"email": tenant.emails[role], "password": PASSWORD, "tenant": slug}
    answer = await gateway.client.post("/v1/auth/login", json=wanted)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def _holding(made: dict[str, Any]) -> dict[str, str]:
    return {"X-API-Key": made["secret"]}


def _in(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def test_a_new_key_works_and_its_secret_is_returned_once(gateway: Gateway) -> None:
    """201 with Location; secret, prefix and last4; the secret never again (AZ8)."""
    admin = gateway.acme.key("admin")
    answer = await _create(gateway, admin, scopes=["deals:read", "contacts:read"])
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{_KEYS}/{made['id']}"
    assert answer.headers["cache-control"] == "no-store"
    assert made["secret"].startswith("tn_live_")
    assert made["secret"].startswith(made["prefix"])
    assert made["secret"].endswith(made["last4"])
    assert made["scopes"] == ["contacts:read", "deals:read"]
    me = (await gateway.client.get("/v1/me", headers=_holding(made))).json()
    assert me["principal"] == {"kind": "api_key", "id": made["id"], "roles": ["viewer"]}
    assert me["permissions"] == ["contacts:read", "deals:read"]
    listed = await gateway.client.get(_KEYS, headers=admin)
    one = await gateway.client.get(f"{_KEYS}/{made['id']}", headers=admin)
    del made["secret"]
    assert one.json() == made
    assert made in listed.json()["data"]
    for text in (one.text, listed.text):
        assert "secret" not in text
        assert "digest" not in text


async def test_a_key_for_a_test_environment_is_refused(gateway: Gateway) -> None:
    """It would see and change live data under a label that says otherwise."""
    answer = await _create(gateway, gateway.acme.key("admin"), environment="test")
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["code"]) == ("/environment", "not_available")
    assert "live data" in error["message"]
    assert (await _create(gateway, gateway.acme.key("admin"), environment="live")).status_code == 201


async def test_reading_a_key_returns_an_etag_for_conditional_requests(gateway: Gateway) -> None:
    """200 with ETag, which changes with the key."""
    admin = gateway.acme.key("admin")
    path = f"{_KEYS}/{(await _made(gateway, admin))['id']}"
    tag = (await gateway.client.get(path, headers=admin)).headers["etag"]
    again = await gateway.client.get(path, headers={**admin, "If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    await gateway.client.post(f"{path}/revoke", headers=admin)
    changed = await gateway.client.get(path, headers={**admin, "If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.json()["revoked_at"] is not None


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"name": "a\x9bb"}, "/name"),
        ({"name": "a\u202eb"}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"role": "king"}, "/role"),
        ({"role": 1}, "/role"),
        ({"scopes": ["contacts:fly"]}, "/scopes/0"),
        ({"scopes": ["contacts:read", "contacts:delete"]}, "/scopes/1"),
        ({"scopes": "contacts:read"}, "/scopes"),
        ({"allowed_cidrs": ["10.0.0.0/33"]}, "/allowed_cidrs/0"),
        ({"allowed_cidrs": ["10.0.0.1/8"]}, "/allowed_cidrs/0"),
        ({"allowed_cidrs": ["everywhere"]}, "/allowed_cidrs/0"),
        ({"allowed_cidrs": ["::1", "fe80::1%eth0"]}, "/allowed_cidrs/1"),
        ({"allowed_cidrs": ["::ffff:10.0.0.1/104"]}, "/allowed_cidrs/0"),
        ({"expires_at": "yesterday"}, "/expires_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2090-01-01T00:00:00"}, "/expires_at"),
        ({"expires_at": 3786912000}, "/expires_at"),
        ({"expires_at": "3786912000"}, "/expires_at"),
        ({"limits": [{"name": "burst", "quota": 0, "window_seconds": 1}]}, "/limits/0/quota"),
        ({"limits": [{"name": "burst", "quota": 1.5, "window_seconds": 1}]}, "/limits/0/quota"),
        ({"limits": [{"name": "burst", "quota": 1, "window_seconds": 0}]}, "/limits/0/window_seconds"),
        ({"limits": [{"name": "Burst!", "quota": 1, "window_seconds": 1}]}, "/limits/0/name"),
        ({"limits": [{"name": "a", "quota": 1, "window_seconds": 1}] * 2}, "/limits"),
        ({"environment": "production"}, "/environment"),
        ({"secret": "tn_live_mine"}, "/secret"),
        ({"revoked_at": None}, "/revoked_at"),
        ({"tenant_id": "tnt_1"}, "/tenant_id"),
    ],
)
async def test_validation_errors_point_to_their_fields(gateway: Gateway, wanted: dict[str, Any], pointer: str) -> None:
    """AZ7: unknown and read-only fields are refused, every field is validated, no input is echoed."""
    answer = await _create(gateway, gateway.acme.key("admin"), **wanted)
    assert answer.status_code == 422, answer.text
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_managing_keys_requires_the_permission(gateway: Gateway, role: str) -> None:
    """AZ1: 403 within the tenant, for every route of keys."""
    headers = gateway.acme.key(role)
    path = f"{_KEYS}/key_01h455vb4pex5vsknk084sn02q"
    answers = [
        await gateway.client.get(_KEYS, headers=headers),
        await gateway.client.get(path, headers=headers),
        await _create(gateway, headers),
        await gateway.client.post(f"{path}/rotate", headers=headers),
        await gateway.client.post(f"{path}/revoke", headers=headers),
    ]
    assert [answer.status_code for answer in answers] == [403] * 5


async def test_a_key_has_no_more_permissions_than_its_creator(gateway: Gateway) -> None:
    """AZ5: neither by role nor by leaving scopes out."""
    admin, owner = gateway.acme.key("admin"), await _owner(gateway, gateway.acme, "acme")
    assert (await _create(gateway, admin, role="owner")).status_code == 403
    assert (await _create(gateway, owner, role="owner")).status_code == 201
    narrow = _holding(await _made(gateway, admin, role="admin", scopes=["api_keys:create", "contacts:read"]))
    assert (await _create(gateway, narrow, role="admin")).status_code == 403
    assert (await _create(gateway, narrow, role="viewer")).status_code == 403
    assert (await _create(gateway, narrow, role="viewer", scopes=["deals:read"])).status_code == 403
    assert (await _create(gateway, narrow, role="viewer", scopes=["contacts:read"])).status_code == 201
    assert (await _create(gateway, narrow, role="viewer", scopes=[])).status_code == 201


async def test_a_key_has_no_later_expiry_and_no_wider_networks_than_its_creator(gateway: Gateway) -> None:
    """AZ5: otherwise an expiring key could create one that does not expire."""
    admin, end = gateway.acme.key("admin"), _in(3600)
    maker = _holding(
        await _made(
            gateway,
            admin,
            role="admin",
            expires_at=end,
            allowed_cidrs=["127.0.0.0/8", "::1"],
            limits=[{"name": "own", "quota": 100, "window_seconds": 1}],
        )
    )
    made = await _made(gateway, maker)
    assert datetime.fromisoformat(made["expires_at"]) == datetime.fromisoformat(end)
    assert made["allowed_cidrs"] == ["127.0.0.0/8", "::1/128"]
    assert made["limits"] == [{"name": "own", "quota": 100, "window_seconds": 1}]
    narrower = await _made(gateway, maker, expires_at=_in(60), allowed_cidrs=["127.0.0.1/32"])
    assert narrower["allowed_cidrs"] == ["127.0.0.1/32"]
    for wider in (
        {"expires_at": _in(7200)},
        {"allowed_cidrs": ["0.0.0.0/0"]},
        {"allowed_cidrs": ["127.0.0.1/32", "10.0.0.0/8"]},
        {"limits": [{"name": "own", "quota": 101, "window_seconds": 1}]},
        {"limits": [{"name": "own", "quota": 100, "window_seconds": 2}]},
    ):
        assert (await _create(gateway, maker, **wider)).status_code == 403


async def test_keys_created_by_a_user_outlive_the_token_and_name_the_user(gateway: Gateway) -> None:
    """A token expires in minutes."""
    made = await _made(gateway, await _owner(gateway, gateway.acme, "acme"))
    assert made["expires_at"] is None
    assert made["created_by"].startswith("usr_")


async def test_a_rotated_key_works_until_its_overlap_ends(gateway: Gateway) -> None:
    """Rotation returns 201 with a new secret; the old key expires with the overlap."""
    admin = gateway.acme.key("admin")
    old = await _made(gateway, admin, role="member", name="ci", scopes=["contacts:read"], allowed_cidrs=["127.0.0.1"])
    answer = await gateway.client.post(f"{_KEYS}/{old['id']}/rotate", json={"overlap_seconds": 2}, headers=admin)
    new = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{_KEYS}/{new['id']}"
    assert (new["rotated_from"], new["expires_at"]) == (old["id"], None)
    for same in ("name", "role", "scopes", "allowed_cidrs", "environment", "limits"):
        assert new[same] == old[same]
    for key in (old, new):
        assert (await gateway.client.get("/v1/me", headers=_holding(key))).status_code == 200
    shown = (await gateway.client.get(f"{_KEYS}/{old['id']}", headers=admin)).json()
    left = datetime.fromisoformat(shown["expires_at"]) - datetime.now(UTC)
    assert timedelta() < left <= timedelta(seconds=2)


async def test_without_an_overlap_the_old_key_expires_at_once_and_cannot_be_rotated_again(gateway: Gateway) -> None:
    """A key has one successor."""
    admin = gateway.acme.key("admin")
    old = await _made(gateway, admin)
    rotate = f"{_KEYS}/{old['id']}/rotate"
    new = (await gateway.client.post(rotate, headers=admin)).json()
    assert (await gateway.client.get("/v1/me", headers=_holding(old))).json()["code"] == "credential_expired"
    assert (await gateway.client.get("/v1/me", headers=_holding(new))).status_code == 200
    assert (await gateway.client.post(rotate, headers=admin)).status_code == 409
    overlapping = await gateway.client.post(f"{_KEYS}/{new['id']}/rotate", json={"overlap_seconds": 60}, headers=admin)
    assert overlapping.status_code == 201
    assert (await gateway.client.post(f"{_KEYS}/{new['id']}/rotate", headers=admin)).status_code == 409


async def test_rotation_grants_no_wider_key(gateway: Gateway) -> None:
    """AZ5: the caller of a rotation gets the secret."""
    owner, admin = await _owner(gateway, gateway.acme, "acme"), gateway.acme.key("admin")
    owners = await _made(gateway, owner, role="owner")
    assert (await gateway.client.post(f"{_KEYS}/{owners['id']}/rotate", headers=admin)).status_code == 403
    members = await _made(gateway, admin, role="member", scopes=["contacts:read"])
    narrow = _holding(await _made(gateway, admin, role="admin", scopes=["api_keys:rotate", "contacts:read"]))
    rotate = f"{_KEYS}/{members['id']}/rotate"
    wider = {"scopes": ["contacts:read", "contacts:delete"]}
    assert (await gateway.client.post(rotate, json=wider, headers=narrow)).status_code == 403
    ending = _holding(await _made(gateway, admin, role="admin", expires_at=_in(60)))
    assert (await gateway.client.post(rotate, headers=ending)).status_code == 403
    assert (await gateway.client.post(rotate, headers=narrow)).status_code == 201


async def test_revocation_is_final_and_idempotent(gateway: Gateway) -> None:
    """204; the first revocation counts."""
    admin = gateway.acme.key("admin")
    made = await _made(gateway, admin)
    path = f"{_KEYS}/{made['id']}"
    assert (await gateway.client.post(f"{path}/revoke", headers=admin)).status_code == 204
    first = (await gateway.client.get(path, headers=admin)).json()["revoked_at"]
    assert (await gateway.client.post(f"{path}/revoke", headers=admin)).status_code == 204
    assert (await gateway.client.get(path, headers=admin)).json()["revoked_at"] == first
    assert (await gateway.client.post(f"{path}/rotate", headers=admin)).status_code == 409


async def test_another_tenants_key_is_404_like_an_unknown_one(gateway: Gateway) -> None:
    """AZ4: 404, byte for byte the same but the request id."""
    theirs = await _made(gateway, gateway.globex.key("admin"))
    admin = gateway.acme.key("admin")
    for method, suffix in (("GET", ""), ("POST", "/rotate"), ("POST", "/revoke")):
        bodies = []
        for key in (theirs["id"], "key_01h455vb4pex5vsknk084sn02q", "tnt_01h455vb4pex5vsknk084sn02q", "nonsense"):
            answer = await gateway.client.request(method, f"{_KEYS}/{key}{suffix}", headers=admin)
            assert answer.status_code == 404
            bodies.append(answer.content.replace(answer.headers["x-request-id"].encode(), b""))
        assert len(set(bodies)) == 1
    assert (await gateway.client.get("/v1/me", headers=_holding(theirs))).status_code == 200


async def test_pages_contain_every_key_once_while_others_are_created(gateway: Gateway) -> None:
    """DA3: keyset pages, in both directions."""
    admin = gateway.acme.key("admin")
    there = {(await _made(gateway, admin))["id"] for _ in range(7)} | {
        each["id"] for each in (await gateway.client.get(_KEYS, headers=admin)).json()["data"]
    }
    for sort in ("-created_at", "created_at"):
        seen: list[str] = []
        query: dict[str, str] = {"limit": "2", "sort": sort}
        while True:
            page = (await gateway.client.get(_KEYS, params=query, headers=admin)).json()
            seen += [each["id"] for each in page["data"]]
            await _made(gateway, admin)
            assert page["has_more"] is (page["next_cursor"] is not None)
            if not page["has_more"] or len(seen) > 40:
                break
            query["cursor"] = page["next_cursor"]
        assert there <= set(seen)
        assert len(seen) == len(set(seen))
        assert seen == sorted(seen, reverse=sort.startswith("-"))


async def test_a_forged_cursor_and_one_of_another_list_are_refused(gateway: Gateway) -> None:
    """IS6: signed, and bound to tenant, list and order. Unknown parameters are refused too."""
    admin = gateway.acme.key("admin")
    cursor = (await gateway.client.get(_KEYS, params={"limit": 1}, headers=admin)).json()["next_cursor"]
    changed = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    wrong: list[tuple[dict[str, str], dict[str, str]]] = [
        ({"cursor": changed}, admin),
        ({"cursor": "é"}, admin),
        ({"cursor": ""}, admin),
        ({"cursor": f"{cursor}="}, admin),
        ({"cursor": cursor, "sort": "created_at"}, admin),
        ({"cursor": cursor}, gateway.globex.key("admin")),
        ({"limit": "0"}, admin),
        ({"limit": "101"}, admin),
        ({"sort": "name"}, admin),
        ({"offset": "1"}, admin),
    ]
    for params, headers in wrong:
        assert (await gateway.client.get(_KEYS, params=params, headers=headers)).status_code == 422, params
    of_tenants = await gateway.client.get("/operator/v1/tenants", params={"cursor": cursor}, headers=gateway.operator)
    assert of_tenants.status_code == 422
    assert (await gateway.client.get(_KEYS, params={"cursor": cursor}, headers=admin)).status_code == 200


async def test_a_key_is_stored_as_its_hash_under_the_newest_pepper(gateway: Gateway) -> None:
    """ID2: only HMAC-SHA-256(pepper, key)."""
    made = await _made(gateway, gateway.acme.key("admin"))
    with psycopg.connect(gateway.urls.owner) as connection:
        query = "SELECT digest, pepper_version FROM tenantry.api_keys WHERE last4 = %s AND prefix = %s"
        ((digest, version),) = connection.execute(query, (made["last4"], made["prefix"])).fetchall()
    assert digest == gateway.services.features.hasher.digest(made["secret"]).value
    assert version == 1
