"""The OpenID AuthZEN Authorization API 1.0, answered by the gate."""

from typing import Any

import httpx
import pytest

from tenants.identifiers import TENANT, USER, new_id, show
from tests.fixtures.edges import identity_of
from tests.fixtures.gateways import BASE_URL, Gateway

pytestmark = pytest.mark.anyio

_ONE, _SEVERAL = "/access/v1/evaluation", "/access/v1/evaluations"
_RESOURCE = {"type": "contacts", "id": "any"}


async def _ask(gateway: Gateway, path: str, body: Any, **headers: str) -> httpx.Response:
    return await gateway.client.post(path, headers=gateway.operator | headers, json=body)


def _holder(credential: str, **properties: Any) -> dict[str, Any]:
    return {"type": "credential", "id": "caller", "properties": {"credential": credential, **properties}}


async def test_a_permission_is_asked_for_by_action_and_resource(gateway: Gateway) -> None:
    """Sections 6 and 10 of the standard; charged as a request, with what verify answers in the context."""
    body = {
        "subject": _holder(gateway.acme.keys["viewer"]),
        "action": {"name": "read", "properties": {"cost": 2}},
        "resource": _RESOURCE,
        "context": {"time": "2026-12-01T00:00:00Z"},
        "unknown": "ignored, as the standard demands",
    }
    answer = await _ask(gateway, _ONE, body, **{"X-Request-ID": "bfe9eb29-ab87"})
    found = answer.json()
    assert (answer.status_code, found["decision"], answer.headers["x-request-id"]) == (200, True, "bfe9eb29-ab87")
    assert [each["remaining"] for each in found["context"]["limits"]] == [998, 29_998]
    assert (await identity_of(gateway, found["context"]["identity"]))["roles"] == ["viewer"]
    for name in ("create", "fly"):
        found = (await _ask(gateway, _ONE, body | {"action": {"name": name}})).json()
        assert found["decision"] is False
        assert found["context"]["code"] == ("forbidden" if name == "create" else "unknown_permission")


async def test_a_principal_is_asked_about_by_its_id(gateway: Gateway) -> None:
    """AZ4: a key or a person of the tenant that is named; what belongs to another tenant does not exist."""
    tenant = show(TENANT, gateway.acme.ref.id)
    key = (await _ask(gateway, "/operator/v1/verify", {"credential": gateway.acme.keys["member"]})).json()["principal"]
    members = (await gateway.client.get("/v1/members", headers=gateway.acme.key("owner"))).json()["data"]
    person = next(each["id"] for each in members if each["roles"] == ["viewer"])
    cases = [
        ("api_key", key["id"], tenant, True, None),
        ("user", person, tenant, False, "forbidden"),
        ("user", key["id"], tenant, False, "not_found"),
        ("group", key["id"], tenant, False, "not_found"),
        ("user", show(USER, new_id()), tenant, False, "not_found"),
        ("api_key", key["id"], show(TENANT, gateway.globex.ref.id), False, "not_found"),
        ("api_key", key["id"], "acme", False, "not_found"),
        ("api_key", key["id"], None, False, "not_found"),
    ]
    for kind, identifier, of, decision, code in cases:
        subject = {"type": kind, "id": identifier, "properties": {"tenant": of}}
        body = {"subject": subject, "action": {"name": "create"}, "resource": _RESOURCE}
        found = (await _ask(gateway, _ONE, body)).json()
        assert (found["decision"], found["context"]["code"]) == (decision, code), subject
    await gateway.client.post(f"/v1/api-keys/{key['id']}/revoke", headers=gateway.acme.key("owner"))
    subject = {"type": "api_key", "id": key["id"], "properties": {"tenant": tenant}}
    found = (await _ask(gateway, _ONE, {"subject": subject, "action": {"name": "read"}, "resource": _RESOURCE})).json()
    assert (found["decision"], found["context"]["code"]) == (False, "credential_revoked")


async def test_several_evaluations_share_defaults_and_end_as_asked(gateway: Gateway) -> None:
    """Section 7 of the standard. What is not evaluated is not charged."""
    subject = _holder(gateway.acme.keys["viewer"])
    parts = [{"action": {"name": name}} for name in ("read", "create", "read", "update")]
    for semantic, decisions in (
        (None, [True, False, True, False]),
        ("execute_all", [True, False, True, False]),
        ("deny_on_first_deny", [True, False]),
        ("permit_on_first_permit", [True]),
    ):
        options = {} if semantic is None else {"options": {"evaluations_semantic": semantic, "other": 1}}
        body = {"subject": subject, "resource": _RESOURCE, "evaluations": parts, **options}
        found = (await _ask(gateway, _SEVERAL, body)).json()["evaluations"]
        assert [each["decision"] for each in found] == decisions, semantic
    left = found[-1]["context"]["limits"][1]["remaining"]
    assert left == 30_000 - 4 - 4 - 2 - 1
    single = {"subject": subject, "action": {"name": "read"}, "resource": _RESOURCE}
    nothing: tuple[dict[str, Any], ...] = ({}, {"evaluations": []})
    for empty in nothing:
        assert (await _ask(gateway, _SEVERAL, single | empty)).json()["decision"] is True
    hundred = {**single, "evaluations": [{}] * 100}
    assert len((await _ask(gateway, _SEVERAL, hundred)).json()["evaluations"]) == 100
    assert (await _ask(gateway, _SEVERAL, single | {"evaluations": [{}] * 101})).status_code == 400


async def test_what_is_malformed_is_400_and_charges_nothing(gateway: Gateway) -> None:
    """AZ2, DA1: section 10.1.2 of the standard; the guard is that of verify."""
    subject = _holder(gateway.acme.keys["member"])
    good = {"subject": subject, "action": {"name": "read"}, "resource": _RESOURCE}
    bad: list[tuple[str, Any, str]] = [
        (_ONE, {}, "/subject"),
        (_ONE, [], ""),
        (_ONE, good | {"action": {"name": 7}}, "/action/name"),
        (_ONE, good | {"resource": {"type": "contacts"}}, "/resource/id"),
        (_ONE, good | {"subject": {"type": "credential", "id": "x"}}, "/subject/properties/credential"),
        (_ONE, good | {"subject": _holder("x", ip_address="10.0.0.0/8")}, "/subject/properties/ip_address"),
        (_ONE, good | {"action": {"name": "read", "properties": {"cost": 0}}}, "/action/properties/cost"),
        (_SEVERAL, good | {"evaluations": [{}, {"action": {}}]}, "/evaluations/1/action/name"),
        (_SEVERAL, {"subject": subject, "evaluations": [{"action": {"name": "read"}}]}, "/evaluations/0/resource"),
        (
            _SEVERAL,
            good | {"evaluations": [{}, {"subject": _holder("")}]},
            "/evaluations/1/subject/properties/credential",
        ),
        (
            _SEVERAL,
            good | {"evaluations": [{}], "options": {"evaluations_semantic": "x"}},
            "/options/evaluations_semantic",
        ),
    ]
    for path, body, pointer in bad:
        answer = await _ask(gateway, path, body)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request"), body
        assert answer.json()["errors"][0]["pointer"] == pointer
    others: tuple[tuple[dict[str, str], int], ...] = (({}, 401), (gateway.acme.key("owner"), 403))
    for headers, status in others:
        assert (await gateway.client.post(_ONE, headers=headers, json=good)).status_code == status
    found = (await _ask(gateway, _ONE, good)).json()
    assert [each["remaining"] for each in found["context"]["limits"]] == [999, 29_999]


async def test_the_metadata_names_the_endpoints(gateway: Gateway) -> None:
    """Section 9 of the standard."""
    answer = await gateway.client.get("/.well-known/authzen-configuration")
    assert answer.json() == {
        "policy_decision_point": BASE_URL,
        "access_evaluation_endpoint": BASE_URL + _ONE,
        "access_evaluations_endpoint": BASE_URL + _SEVERAL,
    }
