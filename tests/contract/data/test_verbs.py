"""``/v1/<resource>``: the five verbs over the whole path of a request."""

from typing import Any

import pytest

from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

_ADA = {"name": "Ada Lovelace", "email": "ada@example.com", "company": "Analytical Engines", "value_cents": 120_000}


async def _create(shared_gateway: Gateway, path: str = "/v1/contacts", body: dict[str, Any] = _ADA) -> tuple[Any, str]:
    answer = await shared_gateway.client.post(path, json=body, headers=shared_gateway.acme.key())
    assert answer.status_code == 201, answer.text
    return answer.json(), answer.headers["etag"]


async def test_create_returns_the_object_and_its_location(shared_gateway: Gateway) -> None:
    """201 with Location; the object itself; a typed id."""
    answer = await shared_gateway.client.post("/v1/contacts", json=_ADA, headers=shared_gateway.acme.key())
    assert answer.status_code == 201
    made = answer.json()
    assert made == _ADA | {
        "id": made["id"],
        "stage": "lead",
        "notes": None,
        "created_at": made["created_at"],
        "updated_at": made["created_at"],
    }
    assert made["id"].startswith("contact_")
    assert made["created_at"].endswith("Z")
    assert answer.headers["location"] == f"/v1/contacts/{made['id']}"
    read = await shared_gateway.client.get(answer.headers["location"], headers=shared_gateway.acme.key())
    assert (read.status_code, read.json(), read.headers["etag"]) == (200, made, answer.headers["etag"])


async def test_read_answers_304_for_the_current_etag(shared_gateway: Gateway) -> None:
    """RFC 9110 section 13.1.2; the tag changes with the object."""
    made, tag = await _create(shared_gateway)
    path, key = f"/v1/contacts/{made['id']}", shared_gateway.acme.key()
    same = await shared_gateway.client.get(path, headers={**key, "If-None-Match": f'"other", {tag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    await shared_gateway.client.patch(path, json={"notes": "changed"}, headers=key)
    other = await shared_gateway.client.get(path, headers={**key, "If-None-Match": tag})
    assert (other.status_code, other.json()["notes"]) == (200, "changed")


async def test_update_changes_only_the_fields_sent(shared_gateway: Gateway) -> None:
    """200; null is a value; updated_at changes."""
    made, tag = await _create(shared_gateway)
    path, key = f"/v1/contacts/{made['id']}", shared_gateway.acme.key()
    answer = await shared_gateway.client.patch(path, json={"email": None, "stage": "customer"}, headers=key)
    assert answer.status_code == 200
    changed = answer.json()
    assert changed == made | {"email": None, "stage": "customer", "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > made["updated_at"]
    assert answer.headers["etag"] != tag


async def test_an_empty_update_changes_nothing(shared_gateway: Gateway) -> None:
    """No new version, so that no other If-Match fails; its own If-Match is still evaluated."""
    made, tag = await _create(shared_gateway)
    path, key = f"/v1/contacts/{made['id']}", shared_gateway.acme.key()
    answer = await shared_gateway.client.patch(path, json={}, headers={**key, "If-Match": tag})
    assert (answer.status_code, answer.json(), answer.headers["etag"]) == (200, made, tag)
    await shared_gateway.client.patch(path, json={"notes": "x"}, headers=key)
    stale = await shared_gateway.client.patch(path, json={}, headers={**key, "If-Match": tag})
    assert stale.status_code == 412


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_a_stale_if_match_is_refused(shared_gateway: Gateway, method: str) -> None:
    """DA4: 412, also for weak and invalid tags; nothing changes."""
    made, tag = await _create(shared_gateway)
    path, key = f"/v1/contacts/{made['id']}", shared_gateway.acme.key()
    body: dict[str, Any] = {"json": {"name": "Bea"}} if method == "PATCH" else {}
    first = await shared_gateway.client.patch(path, json={"notes": "x"}, headers={**key, "If-Match": tag})
    assert first.status_code == 200
    for stale in (tag, f"W/{first.headers['etag']}", '"nonsense"', "nonsense", ""):
        answer = await shared_gateway.client.request(method, path, headers={**key, "If-Match": stale}, **body)
        assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")
    now = await shared_gateway.client.get(path, headers=key)
    assert now.json() == first.json()
    fresh = await shared_gateway.client.request(
        method, path, headers={**key, "If-Match": first.headers["etag"]}, **body
    )
    assert fresh.status_code in (200, 204)


async def test_delete_answers_204_and_then_404(shared_gateway: Gateway) -> None:
    """A deleted object does not exist."""
    made, tag = await _create(shared_gateway)
    path, key = f"/v1/contacts/{made['id']}", shared_gateway.acme.key()
    gone = await shared_gateway.client.delete(path, headers={**key, "If-Match": tag})
    assert (gone.status_code, gone.content) == (204, b"")
    for method in ("GET", "DELETE"):
        assert (await shared_gateway.client.request(method, path, headers=key)).status_code == 404
    assert (
        await shared_gateway.client.patch(path, json={"name": "x"}, headers={**key, "If-Match": tag})
    ).status_code == 404


async def test_a_referenced_object_is_not_deleted(shared_gateway: Gateway) -> None:
    """409; both objects stay, so that no deal refers to a missing contact."""
    contact, _ = await _create(shared_gateway)
    deal, _ = await _create(shared_gateway, "/v1/deals", {"title": "Two engines", "contact_id": contact["id"]})
    assert deal["contact_id"] == contact["id"]
    key = shared_gateway.acme.key()
    answer = await shared_gateway.client.delete(f"/v1/contacts/{contact['id']}", headers=key)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert (await shared_gateway.client.delete(f"/v1/deals/{deal['id']}", headers=key)).status_code == 204
    assert (await shared_gateway.client.delete(f"/v1/contacts/{contact['id']}", headers=key)).status_code == 204


@pytest.mark.parametrize(("role", "writes"), [("owner", True), ("admin", True), ("member", True), ("viewer", False)])
async def test_viewers_read_and_other_roles_write(shared_gateway: Gateway, role: str, writes: bool) -> None:  # noqa: FBT001
    """AZ3: permissions are <resource>:read|create|update|delete."""
    made, _ = await _create(shared_gateway)
    path, key = f"/v1/contacts/{made['id']}", shared_gateway.acme.key(role)
    assert (await shared_gateway.client.get(path, headers=key)).status_code == 200
    assert (await shared_gateway.client.get("/v1/contacts", headers=key)).status_code == 200
    answers = [
        await shared_gateway.client.post("/v1/contacts", json=_ADA, headers=key),
        await shared_gateway.client.patch(path, json={"notes": "x"}, headers=key),
        await shared_gateway.client.delete(path, headers=key),
    ]
    assert [answer.status_code for answer in answers] == ([201, 200, 204] if writes else [403, 403, 403])


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", ""), ("GET", "/contact_01"), ("PATCH", "/contact_01"), ("DELETE", "/contact_01")],
)
async def test_a_request_without_a_credential_is_refused(shared_gateway: Gateway, method: str, path: str) -> None:
    """AZ1: default deny, before the body is read."""
    answer = await shared_gateway.client.request(method, f"/v1/contacts{path}?nothing=1")
    assert (answer.status_code, answer.json()["code"]) == (401, "credential_missing")
