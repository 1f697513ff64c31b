"""``POST /v1/decisions/explain``: what it finds, whom it answers, and that it changes nothing."""

import asyncio
from time import monotonic
from typing import Any

import httpx
import pytest
import redis

from gateway.development.redis import LocalRedis
from tenants.identifiers import API_KEY, show
from tests.fixtures.events import events_of
from tests.fixtures.explained import (
    EXPLAIN,
    HOUR,
    Population,
    RecordingGate,
    acting,
    change_key,
    explained,
    key_id,
    make_key,
    user_id,
    verdict_of,
)
from tests.fixtures.gateways import Gateway, GatewayFactory
from tests.fixtures.people import execute, sign_in

pytestmark = pytest.mark.anyio

_READ = {"method": "GET", "path": "/v1/contacts"}
_UNKNOWN = "01kc2q7v8ze1rb9m3x5w6t0h4d"
_BAD: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({}, [("/method", "missing"), ("/path", "missing")]),
    ({"method": "GET"}, [("/path", "missing")]),
    ({"path": "/v1/me"}, [("/method", "missing")]),
    ({"path": "/v1/me", "permission": "usage:read"}, [("/permission", "not_allowed")]),
    ({**_READ, "permission": "usage:read"}, [("/permission", "not_allowed")]),
    ({"permission": "usage:nothing"}, [("/permission", "unknown_permission")]),
    ({**_READ, "principal": "ada"}, [("/principal", "bad_format")]),
    ({**_READ, "principal": f"tnt_{_UNKNOWN}"}, [("/principal", "bad_format")]),
    ({**_READ, "client": "fe80::1%eth0"}, [("/client", "bad_address")]),
    ({**_READ, "client": "10.0.0.0/8"}, [("/client", "bad_address")]),
    ({**_READ, "method": "GET / HTTP/1.1\r\nX: y\r\n"}, [("/method", "bad_format")]),
    ({**_READ, "path": "v1/me"}, [("/path", "bad_format")]),
    ({**_READ, "path": "/v1/me HTTP/1.1\r\nX: y"}, [("/path", "bad_format")]),
    ({**_READ, "path": "/" + 8_000 * "x"}, [("/path", "too_long")]),
    ({**_READ, "path": 7, "extra": 1}, [("/path", "wrong_type"), ("/extra", "unknown_field")]),
]
_PATHS = [
    ("BREW", "/v1/contacts", (501, "method_not_implemented", "http")),
    ("GET", "/v1/contacts#x", (400, "malformed_request", "http")),
    ("GET", "/v1/contacts/%00", (400, "malformed_request", "http")),
    ("GET", "/v1/%2e%2e/contacts", (404, "not_found", "route")),
    ("PUT", "/v1/contacts?stage=new", (405, "method_not_allowed", "route")),
    ("DELETE", "/operator/v1/operator-keys", (405, "method_not_allowed", "route")),
    ("GET", "/operator/v1/tenants", (403, "forbidden", "authorization")),
]


async def _ask(gateway: Gateway, headers: dict[str, str], **body: Any) -> httpx.Response:
    return await gateway.client.post(EXPLAIN, json=body, headers=headers)


async def test_everybody_asks_about_themselves_and_those_who_may_about_others(gateway: Gateway) -> None:
    """AZ10, AZ1: the permission is needed as soon as another principal is named, whether it exists or not."""
    acme = gateway.acme
    viewer, admin = acme.key("viewer"), acme.key("admin")
    own, other = key_id(gateway, acme, "viewer"), key_id(gateway, acme, "member")
    person = await sign_in(gateway, "viewer")
    for headers, itself in ((viewer, {}), (viewer, {"principal": own}), (person.headers, {})):
        answer = await _ask(gateway, headers, permission="contacts:read", **itself)
        assert answer.json()["decision"]["allowed"] is True
        assert answer.json()["principal"]["is_caller"] is True
    for named in (other, user_id(gateway, acme, "viewer"), f"key_{_UNKNOWN}", key_id(gateway, gateway.globex, "admin")):
        refused = await _ask(gateway, viewer, principal=named, **_READ)
        assert (refused.status_code, refused.json()["detail"]) == (403, "Permission decisions:explain is required.")
    for named, kind in ((other, "api_key"), (user_id(gateway, acme, "viewer"), "user")):
        found = (await _ask(gateway, admin, principal=named, **_READ)).json()["principal"]
        assert found == {"kind": kind, "id": named, "is_caller": False}


async def test_an_operator_who_acts_for_the_tenant_names_one_of_its_principals(gateway: Gateway) -> None:
    """AZ10: it is a read, for a suspended tenant too; the operator is no principal itself."""
    headers, key = acting(gateway, gateway.acme), key_id(gateway, gateway.acme, "viewer")
    nameless = await _ask(gateway, headers, **_READ)
    assert [(each["pointer"], each["code"]) for each in nameless.json()["errors"]] == [("/principal", "missing")]
    assert (await _ask(gateway, headers, principal=key, **_READ)).json()["decision"]["allowed"] is True
    foreign = key_id(gateway, gateway.globex, "viewer")
    assert (await _ask(gateway, headers, principal=foreign, **_READ)).status_code == 404


async def test_a_principal_of_another_tenant_is_answered_as_an_unknown_one(gateway: Gateway) -> None:
    """AZ4, AZ10: byte for byte but the request id, fields included."""
    globex, answers = gateway.globex, []
    for named in (
        *(key_id(gateway, globex, "owner"), user_id(gateway, globex, "owner")),
        *(f"key_{_UNKNOWN}", f"usr_{_UNKNOWN}"),
    ):
        answer = await _ask(gateway, gateway.acme.key("owner"), principal=named, **_READ)
        own = answer.headers["x-request-id"]
        fields = [each for each in answer.headers.raw if each[0] not in {b"x-request-id", b"ratelimit"}]
        answers.append((answer.status_code, answer.content.replace(own.encode(), b""), fields))
    assert answers[0][0] == 404
    assert all(answer == answers[0] for answer in answers)


async def test_a_question_without_an_answer_is_refused(gateway: Gateway) -> None:
    """DA1, AZ10."""
    for body, errors in _BAD:
        answer = await _ask(gateway, gateway.acme.key("viewer"), **body)
        assert answer.status_code == 422
        assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == errors


async def test_the_findings_say_what_decides(gateway: Gateway) -> None:
    """AZ10: route, credential, tenant, entitlement, each window, each role's line, the policy and its revision."""
    acme = gateway.acme
    limits = [{"name": "few", "quota": 3, "window_seconds": HOUR}]
    role = {"name": "support", "permissions": ["contacts:read"], "inherits": []}
    await gateway.client.post("/v1/roles", json=role, headers=acme.key("owner"))
    key, headers = await make_key(gateway, acme.key("owner"), role="support", limits=limits)
    (await gateway.client.get("/v1/contacts", headers=headers)).raise_for_status()
    found = await explained(gateway, acme.key("admin"), {**_READ, "principal": key})
    assert found["decision"] == {
        **dict.fromkeys(("status", "code", "stage", "message", "retry_after")),
        "allowed": True,
    }
    assert found["route"] == {
        "template": "/v1/contacts",
        "permission": "contacts:read",
        "audience": "tenants",
        "people_only": False,
        "cost": 1,
        "budget": "plan",
        "code": None,
    }
    assert found["tenant"] == {"status": "active", "code": None}
    assert found["entitlement"] == {"plan": "scale", "feature": None, "code": None}
    windows = {each["name"]: each for each in found["limits"]["windows"]}
    assert (windows["few"]["quota"], windows["few"]["remaining"], windows["few"]["refuses"]) == (3, 2, False)
    assert windows.keys() == {"burst", "sustained", "few"}
    assert found["limits"]["shared"] is True
    [judged] = found["authorization"]["roles"]
    assert (judged["role"], judged["policy"], judged["line"]) == (
        *("support", "tenant"),
        ["p", "support", "contacts", "read"],
    )
    assert judged["revision"] >= 1
    refused = await explained(gateway, headers, {"permission": "usage:read"})
    assert (refused["route"], refused["limits"]) == (None, None)
    assert refused["authorization"]["roles"][0]["line"] is None
    assert verdict_of(refused) == (403, "forbidden")
    costly = await explained(gateway, headers, {"method": "POST", "path": f"/v1/deals/deal_{_UNKNOWN}/win"})
    assert (costly["decision"]["stage"], costly["limits"]["code"]) == ("authorization", None)


async def test_the_findings_name_the_owner_who_holds_the_permission_no_more(gateway: Gateway) -> None:
    """AZ10, ID16: a key of a demoted person, and the end of a maker."""
    acme = gateway.acme
    person = await sign_in(gateway, "admin")
    key, headers = await make_key(gateway, person.headers, role="admin")
    child, _ = await make_key(gateway, headers, role="admin")
    await gateway.client.patch(
        f"/v1/members/{user_id(gateway, acme, 'admin')}", json={"roles": ["viewer"]}, headers=acme.key("owner")
    )
    asked = {"method": "GET", "path": "/v1/usage", "principal": child}
    found = await explained(gateway, acme.key("owner"), asked)
    assert verdict_of(found) == (403, "forbidden")
    assert found["authorization"]["in_scopes"] is False
    assert [(each["kind"], each["id"], each["state"], each["grants"]) for each in found["credential"]["owners"]] == [
        ("key", key, "active", True),
        ("user", user_id(gateway, acme, "admin"), "member", False),
    ]
    execute(gateway, "UPDATE tenantry.api_keys SET disabled_at = now() WHERE name = 'explained' AND owned_by = 'user'")
    found = await explained(gateway, acme.key("owner"), asked)
    assert (found["credential"]["state"], found["credential"]["code"]) == ("bound_by_owner", "credential_revoked")
    assert [each["state"] for each in found["credential"]["owners"]] == ["disabled", "member"]


async def test_the_findings_say_since_when_a_credential_has_ended(gateway: Gateway) -> None:
    """AZ10: without a principal the later stages find nothing."""
    owner = gateway.acme.key("owner")
    key, _ = await make_key(gateway, owner)
    await change_key(gateway, "revoke", key, owner)
    found = await explained(gateway, owner, {**_READ, "principal": key})
    [(since,)] = execute(gateway, "SELECT revoked_at FROM tenantry.api_keys WHERE name = 'explained'")
    assert found["credential"]["state"] == "revoked"
    assert found["credential"]["since"] == since.isoformat().replace("+00:00", "Z")
    assert (found["decision"]["stage"], found["limits"], found["authorization"]) == ("credential", None, None)


async def test_the_path_is_read_as_the_server_reads_it(gateway: Gateway) -> None:
    """AZ10, PX5, PX6: what never reaches the gate is answered with the server's own refusal."""
    for method, path, decision in _PATHS:
        found = (await explained(gateway, gateway.acme.key("owner"), {"method": method, "path": path}))["decision"]
        assert (found["status"], found["code"], found["stage"]) == decision


def _state(gateway: Gateway, server: LocalRedis) -> dict[str, Any]:
    """All that requests change; without the management windows, to which the asker's own requests are charged."""
    services = gateway.services
    with redis.Redis.from_url(server.url) as counters:
        names = sorted(name for name in counters.scan_iter() if b"management" not in name)
        stored = [(name, counters.get(name)) for name in names]
    noted = services.usage.key_uses.noted.values()
    accounts = [each for each in services.limiter._leased.accounts if ":management:" not in each.name]
    return {
        "redis": stored,
        "accounts": [
            (each.name, each.leases.tokens, each.leases.spent, each.refused, each.recently_used) for each in accounts
        ],
        "permits": [(each.used, each.held) for each in services.limiter._leased._permits.values()],
        "principals": services.principals.cached,
        "decisions": dict(services.authorizer._decisions),
        "enforcers": list(services.authorizer._enforcers._own),
        "noted": {show(API_KEY, each.principal.id): (each.at, each.requests) for each in noted},
        "uses": execute(gateway, "SELECT * FROM tenantry.api_key_uses ORDER BY key_id"),
        "events": len(events_of(gateway.urls, gateway.acme.ref)),
        "usage": execute(gateway, "SELECT * FROM tenantry.usage_minutes"),
    }


async def _settled(gateway: Gateway) -> None:
    """Return when no lease is held, so that nothing changes by itself. A small quota has no reserve."""
    storage = gateway.services.limiter._leased
    async with asyncio.timeout(10):
        while any(each.held or each.call_pending for each in storage._permits.values()) or any(
            each.leases.last_end or each.call_pending for each in storage.accounts if ":management:" not in each.name
        ):
            await asyncio.sleep(0.02)
            for each in storage.accounts:
                each.leases.refresh(monotonic())


async def test_an_explanation_changes_nothing(gateways: GatewayFactory, redis_server: LocalRedis) -> None:
    """AZ10: no window, lease, permit, last use, usage, cache or audit row; for used, new and ended principals."""
    async with gateways(usage_flush_seconds=60) as gateway:
        plan = {"windows": [{"name": "hour", "quota": 40, "window_seconds": HOUR}], "concurrency": 2}
        await gateway.client.patch("/operator/v1/plans/scale", json=plan, headers=gateway.operator)
        people = [each for each in await Population(gateway).make() if "suspended" not in each.name]
        gate, asker = RecordingGate.of(gateway), gateway.acme.key("owner")
        for each in people[:6]:
            await gate.verdict("GET", "/v1/contacts", each.headers, "10.1.0.1")
        await explained(gateway, asker, {**_READ, "principal": people[0].id})  # the asker itself is cached from here on
        await _settled(gateway)
        before = _state(gateway, redis_server)
        for each in people:
            for method, path in (("GET", "/v1/contacts"), ("GET", "/v1/usage"), ("POST", "/v1/auth/login")):
                await explained(
                    gateway, asker, {"method": method, "path": path, "principal": each.id, "client": "10.1.0.1"}
                )
        after = _state(gateway, redis_server)
        for noted in (before["noted"], after["noted"]):
            del noted[key_id(gateway, gateway.acme, "owner")]  # the asker has used its own key
        assert after == before


async def test_without_redis_the_share_of_the_worker_is_explained(gateways: GatewayFactory) -> None:
    """AZ10, TH8: as the gate then decides."""
    async with gateways(redis_url="redis://127.0.0.1:1/0", workers=2) as gateway:
        limits = [{"name": "few", "quota": 4, "window_seconds": HOUR}]
        key, headers = await make_key(gateway, gateway.acme.key("owner"), limits=limits)
        gate, asked = RecordingGate.of(gateway), {**_READ, "principal": key}
        for left in (2, 1, 0, 0):
            found = await explained(gateway, gateway.acme.key("owner"), asked)
            [few] = [each for each in found["limits"]["windows"] if each["name"] == "few"]
            assert (found["limits"]["shared"], few["remaining"], few["refuses"]) == (False, left, left == 0)
            assert await gate.verdict("GET", "/v1/contacts", headers, "192.0.2.1") == verdict_of(found)
        assert verdict_of(found) == (429, "rate_limited")
