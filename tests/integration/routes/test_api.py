"""Routes, upstreams and their versions over HTTP: created, changed under If-Match, refused, audited, rolled back."""

from typing import Any

import httpx
import pytest

from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

_ROUTES, _UPSTREAMS = "/operator/v1/routes", "/operator/v1/upstreams"
_WHOLE, _VERSIONS = "/operator/v1/route-configuration", "/operator/v1/route-versions"
_UPSTREAM: dict[str, Any] = {"name": "orders", "targets": [{"url": "http://127.0.0.1:9"}]}
_ROUTE: dict[str, Any] = {"name": "orders", "upstream": "orders", "path": "/orders", "permission": "orders:use"}


async def _ask(gateway: Gateway, method: str, path: str, body: Any = None, **fields: str) -> httpx.Response:
    return await gateway.client.request(method, path, json=body, headers=gateway.operator | fields)


async def _numbers(gateway: Gateway) -> list[int]:
    return [each["number"] for each in (await _ask(gateway, "GET", _VERSIONS)).json()["data"]]


async def test_objects_are_created_changed_and_deleted(gateway: Gateway) -> None:
    """DA4: each has its own ETag, which a change of another one leaves alone; every change makes a version."""
    created = await _ask(gateway, "POST", _UPSTREAMS, _UPSTREAM)
    assert (created.status_code, created.headers["location"]) == (201, f"{_UPSTREAMS}/orders")
    route = await _ask(gateway, "POST", _ROUTES, _ROUTE)
    assert (route.status_code, route.json()["match"]) == (201, "prefix")
    same = await _ask(gateway, "GET", f"{_UPSTREAMS}/orders", **{"If-None-Match": created.headers["etag"]})
    assert same.status_code == 304
    for path, body in ((_UPSTREAMS, _UPSTREAM), (_ROUTES, _ROUTE)):
        again = await _ask(gateway, "POST", path, body)
        assert (again.status_code, again.json()["errors"][0]["pointer"]) == (409, "/name")
    tag = {"If-Match": route.headers["etag"]}
    changed = await _ask(gateway, "PUT", f"{_ROUTES}/orders", _ROUTE | {"cost": 3}, **tag)
    assert (changed.status_code, changed.json()["cost"]) == (200, 3)
    assert (await _ask(gateway, "PUT", f"{_ROUTES}/orders", _ROUTE, **tag)).status_code == 412
    assert (await _ask(gateway, "DELETE", f"{_ROUTES}/orders", **tag)).status_code == 412
    assert [each["name"] for each in (await _ask(gateway, "GET", _ROUTES)).json()["data"]] == ["orders"]
    assert (await _ask(gateway, "DELETE", f"{_UPSTREAMS}/orders")).status_code == 409  # a route goes to it
    assert (await _ask(gateway, "DELETE", f"{_ROUTES}/orders")).status_code == 204
    assert (await _ask(gateway, "DELETE", f"{_UPSTREAMS}/orders")).status_code == 204
    for method in ("GET", "DELETE"):
        assert (await _ask(gateway, method, f"{_ROUTES}/orders")).status_code == 404
    assert (await _ask(gateway, "PUT", f"{_ROUTES}/orders", _ROUTE)).status_code == 404
    assert await _numbers(gateway) == [6, 5, 4, 3, 2, 1]


async def test_what_is_invalid_changes_nothing_and_names_its_place(gateway: Gateway) -> None:
    """DA2: pointers into the body that was sent, also where the fault is what two routes share."""
    assert (await _ask(gateway, "POST", _UPSTREAMS, _UPSTREAM)).status_code == 201
    assert (await _ask(gateway, "POST", _ROUTES, _ROUTE)).status_code == 201
    other = _ROUTE | {"name": "other", "path": "/other"}
    assert (await _ask(gateway, "POST", _ROUTES, other)).status_code == 201
    whole = {"upstreams": [_UPSTREAM], "routes": [_ROUTE, other | {"path": "/orders"}]}
    for method, path, body, pointer in (
        ("POST", _ROUTES, _ROUTE | {"name": "third", "upstream": "none"}, "/upstream"),
        ("POST", _ROUTES, _ROUTE | {"name": "third"}, "/path"),
        ("PUT", f"{_ROUTES}/orders", _ROUTE | {"path": "/other"}, "/path"),
        ("PUT", f"{_ROUTES}/orders", _ROUTE | {"name": "renamed"}, "/name"),
        ("PUT", f"{_UPSTREAMS}/orders", _UPSTREAM | {"targets": [{"url": "orders:80"}]}, "/targets/0/url"),
        ("PUT", _WHOLE, whole, "/routes/1/path"),
    ):
        refused = await _ask(gateway, method, path, body)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer), refused.text
    assert await _numbers(gateway) == [4, 3, 2, 1]


async def test_the_whole_is_replaced_rolled_back_and_audited(gateway: Gateway) -> None:
    """AU1: each object that changes, with what changes of it. AZ1: by admins alone."""
    whole = {"upstreams": [_UPSTREAM], "routes": [_ROUTE, _ROUTE | {"name": "other", "path": "/other"}]}
    first = await _ask(gateway, "PUT", _WHOLE, whole)
    assert (first.status_code, first.json()["number"]) == (200, 2)
    same = await _ask(gateway, "PUT", _WHOLE, whole | {"routes": whole["routes"][::-1]})
    assert same.json() == first.json()  # their order makes no difference
    read = await _ask(gateway, "GET", _WHOLE)
    assert read.headers["etag"] == first.headers["etag"]
    assert (await _ask(gateway, "PUT", f"{_ROUTES}/other", whole["routes"][1] | {"cost": 2})).status_code == 200
    assert (await _ask(gateway, "PUT", _WHOLE, whole, **{"If-Match": first.headers["etag"]})).status_code == 412
    back = await _ask(gateway, "POST", f"{_VERSIONS}/2/rollback")
    assert (back.json()["number"], back.json()["restored"]) == (4, 2)
    assert back.json()["actor"]["kind"] == "operator"
    for number in ("99", "0", str(2**31), "x"):
        assert (await _ask(gateway, "POST", f"{_VERSIONS}/{number}/rollback")).status_code == 404
    events = (await _ask(gateway, "GET", "/operator/v1/audit-events?object=other")).json()["data"]
    assert [(each["action"], each["before"], each["after"]) for each in events[:2]] == [
        ("routes.updated", {"cost": 2}, {"cost": 1}),
        ("routes.updated", {"cost": 1}, {"cost": 2}),
    ]
    assert (events[2]["action"], events[2]["before"], events[2]["after"]["path"]) == ("routes.created", None, "/other")
    key = {"name": "support", "role": "support"}
    support = (await _ask(gateway, "POST", "/operator/v1/operator-keys", key)).json()["secret"]
    assert (await _ask(gateway, "GET", _WHOLE, **{"X-API-Key": support})).status_code == 200
    assert (await _ask(gateway, "PUT", _WHOLE, whole, **{"X-API-Key": support})).status_code == 403


async def test_a_tenant_with_targets_of_its_own_is_not_deleted(gateway: Gateway) -> None:
    """PX1: another tenant can take its slug, and would be led there. Only tenants that exist have targets."""
    made = await _ask(gateway, "POST", "/operator/v1/tenants", {"slug": "initech", "name": "Initech", "plan": "free"})
    tenant = f"/operator/v1/tenants/{made.json()['id']}"
    own = {"by_tenant": {"initech": [{"url": "https://initech.example"}]}}
    assert (await _ask(gateway, "POST", _UPSTREAMS, _UPSTREAM | own)).status_code == 201
    refused = await _ask(gateway, "DELETE", tenant)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert (await _ask(gateway, "PUT", f"{_UPSTREAMS}/orders", _UPSTREAM)).status_code == 200
    assert (await _ask(gateway, "DELETE", tenant)).status_code == 204
    back = await _ask(gateway, "POST", f"{_VERSIONS}/2/rollback")
    assert (back.status_code, back.json()["errors"][0]["pointer"]) == (422, "/upstreams/0/by_tenant/initech")
