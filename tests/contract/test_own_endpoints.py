"""The SaaS team's own endpoints, with the same guards, costs, strictness, errors and document as all others.

The example's: ``POST /v1/deals/{id}/win`` and ``GET /v1/contacts/stats``.
"""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.fixtures.events import events_of
from tests.fixtures.gateways import Gateway, SeededTenant

pytestmark = pytest.mark.anyio

_STATS = "/v1/contacts/stats"


async def _deal(gateway: Gateway, tenant: SeededTenant, **values: Any) -> str:
    """The path of a new deal."""
    body = {"title": "Two difference engines"} | values
    created = await gateway.client.post("/v1/deals", json=body, headers=tenant.key())
    assert created.status_code == 201, created.text
    return str(created.headers["location"])


@pytest.mark.parametrize("role", ["member", "admin", "owner"])
async def test_a_deal_is_won_as_the_crud_endpoint_shows_it(gateway: Gateway, role: str) -> None:
    """A change through the session counts the version, so that the ETag changes and If-Match protects it (DA4)."""
    path = await _deal(gateway, gateway.acme)
    before = await gateway.client.get(path, headers=gateway.acme.key())
    won = await gateway.client.post(f"{path}/win", headers=gateway.acme.key(role))
    after = await gateway.client.get(path, headers=gateway.acme.key())
    assert won.status_code == 200, won.text
    assert won.json() == after.json()
    assert won.json()["stage"] == "won"
    assert won.json()["updated_at"] > before.json()["updated_at"]
    assert won.headers["etag"] == after.headers["etag"] != before.headers["etag"]
    stale = {"if-match": before.headers["etag"], **gateway.acme.key()}
    assert (await gateway.client.patch(path, json={"title": "x"}, headers=stale)).status_code == 412


async def test_a_change_through_objects_is_recorded_as_an_event(gateway: Gateway) -> None:
    """As a PATCH records it, in the same transaction."""
    path = await _deal(gateway, gateway.acme)
    (await gateway.client.post(f"{path}/win", headers=gateway.acme.key())).raise_for_status()
    created, updated = events_of(gateway.urls, gateway.acme.ref)
    assert [event["type"] for event in (created, updated)] == ["deals.created", "deals.updated"]
    assert (updated["before"]["stage"], updated["after"]["stage"]) == ("open", "won")
    assert updated["actor_kind"] == "api_key"


@pytest.mark.parametrize("stage", ["won", "lost"])
async def test_a_closed_deal_cannot_be_won(gateway: Gateway, stage: str) -> None:
    """The endpoint's own error is a problem document like every other, and the error rolls its transaction back."""
    path = await _deal(gateway, gateway.acme, stage=stage)
    refused = await gateway.client.post(f"{path}/win", headers=gateway.acme.key())
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert refused.json()["detail"] == "The deal is already won or lost."
    assert (await gateway.client.get(path, headers=gateway.acme.key())).json()["stage"] == stage


async def test_one_of_two_concurrent_requests_wins_the_deal(gateway: Gateway) -> None:
    """The row is locked between the look and the change."""
    path = await _deal(gateway, gateway.acme)
    answers = await asyncio.gather(*(gateway.client.post(f"{path}/win", headers=gateway.acme.key()) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


async def test_a_missing_permission_is_named(gateway: Gateway) -> None:
    """AZ1: in the response and in the access log, for roles and scopes alike."""
    path = await _deal(gateway, gateway.acme)
    body = {"name": "narrow", "role": "member", "scopes": ["deals:read"]}
    narrow = (await gateway.client.post("/v1/api-keys", json=body, headers=gateway.acme.key("admin"))).json()["secret"]
    for key in (gateway.acme.keys["viewer"], narrow):
        with capture_logs() as lines:
            refused = await gateway.client.post(f"{path}/win", headers={"X-API-Key": key})
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert refused.json()["detail"] == "Permission deals:win is required."
        (line,) = [each for each in lines if each["event"] == "request"]
        assert line["missing_permission"] == "deals:win"


async def test_an_endpoint_needs_a_credential_of_a_tenant(gateway: Gateway) -> None:
    """AZ1."""
    path = await _deal(gateway, gateway.acme)
    for headers, status in ({}, 401), (gateway.operator, 403):
        assert (await gateway.client.post(f"{path}/win", headers=headers)).status_code == status
        assert (await gateway.client.get(_STATS, headers=headers)).status_code == status


async def test_another_tenants_deal_does_not_exist(gateway: Gateway) -> None:
    """AZ4: byte for byte as an id that nobody has, and as what is no id at all."""
    path = await _deal(gateway, gateway.globex)
    unknown = "/v1/deals/deal_01h455vb4pex5vsknk084sn02q"
    bodies = []
    for deal in (path, unknown, "/v1/deals/deal_x", "/v1/deals/contact_01h455vb4pex5vsknk084sn02q"):
        refused = await gateway.client.post(f"{deal}/win", headers=gateway.acme.key("owner"))
        assert refused.status_code == 404
        bodies.append({**refused.json(), "request_id": None})
    assert all(body == bodies[0] for body in bodies)
    assert (await gateway.client.get(path, headers=gateway.globex.key())).json()["stage"] == "open"


async def test_stats_count_the_contacts_of_the_tenant_alone(gateway: Gateway) -> None:
    """The statement names no schema; the literal path has precedence over ``/v1/contacts/{id}``."""
    for tenant, stages in ((gateway.acme, ("lead", "lead", "customer")), (gateway.globex, ("lost",))):
        for stage in stages:
            body = {"name": "Ada", "stage": stage}
            (await gateway.client.post("/v1/contacts", json=body, headers=tenant.key())).raise_for_status()
    stats = await gateway.client.get(_STATS, headers=gateway.acme.key("viewer"))
    assert stats.json() == {
        "total": 3,
        "by_stage": {"new": 0, "lead": 2, "qualified": 0, "customer": 1, "lost": 0},
    }


async def test_parameters_and_paths_are_strict(gateway: Gateway) -> None:
    """AZ7."""
    path = await _deal(gateway, gateway.acme)
    for method, target in (("POST", f"{path}/win"), ("GET", _STATS)):
        refused = await gateway.client.request(method, f"{target}?stage=won", headers=gateway.acme.key())
        assert refused.status_code == 422
        assert [each["code"] for each in refused.json()["errors"]] == ["unknown_parameter"]
    wrong_method = await gateway.client.get(f"{path}/win", headers=gateway.acme.key())
    assert (wrong_method.status_code, wrong_method.headers["allow"]) == (405, "POST")


async def test_an_endpoint_costs_what_it_declares(gateway: Gateway) -> None:
    """Charged to every window of the plan."""
    path = await _deal(gateway, gateway.acme)
    answers = [await gateway.client.post(f"{path}/win", headers=gateway.acme.key()) for _ in range(2)]
    remaining = [int(each.headers["ratelimit"].split(";")[1].removeprefix("r=")) for each in answers]
    assert remaining[0] - remaining[1] == 2


async def test_the_document_has_them(gateway: Gateway) -> None:
    """Permission, cost and models, from the same terms that the gate applies."""
    document = (await gateway.client.get("/openapi.json")).json()
    win = document["paths"]["/v1/deals/{id}/win"]["post"]
    assert (win["x-permission"], win["x-cost"]) == ("deals:win", 2)
    assert win["security"] == [{"bearer": []}, {"api_key": []}]
    assert win["responses"]["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Deal"}
    assert "Deal" in document["components"]["schemas"]
    assert [(each["name"], each["in"]) for each in win["parameters"]] == [("id", "path")]
    stats = document["paths"][_STATS]["get"]
    assert (stats["x-permission"], stats["x-cost"]) == ("contacts:read", 1)
    schema = stats["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/ContactStats"}


async def test_its_permission_is_part_of_the_vocabulary(gateway: Gateway) -> None:
    """AZ1: roles hold it by its grade, and a key can be narrowed to it."""
    for role, holds in (("viewer", False), ("member", True), ("admin", True)):
        me = (await gateway.client.get("/v1/me", headers=gateway.acme.key(role))).json()
        assert ("deals:win" in me["permissions"]) is holds
    body = {"name": "closer", "role": "member", "scopes": ["deals:win"]}
    key = (await gateway.client.post("/v1/api-keys", json=body, headers=gateway.acme.key("admin"))).json()["secret"]
    path = await _deal(gateway, gateway.acme)
    assert (await gateway.client.post(f"{path}/win", headers={"X-API-Key": key})).status_code == 200
    assert (await gateway.client.get(path, headers={"X-API-Key": key})).status_code == 403
