"""``POST /operator/v1/verify``: decided, charged and counted as by the gate, for operators' services."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from billing.usage.counts import Count
from tenants.audit.origin import SYSTEM
from tenants.identifiers import API_KEY, TENANT, read, show
from tenants.operator_keys.schemas import CreateOperatorKey
from tenants.principal import OperatorRole
from tenants.secrets.tokens import SecretKind, generate
from tests.fixtures.edges import identity_of
from tests.fixtures.gateways import Gateway, GatewayFactory
from tests.fixtures.usage import stored_counts

pytestmark = pytest.mark.anyio

_VERIFY, _BATCH = "/operator/v1/verify", "/operator/v1/verify/batch"
_READ = {"method": "GET", "path": "/v1/contacts?limit=1"}


async def _ask(gateway: Gateway, body: dict[str, Any]) -> dict[str, Any]:
    answer = await gateway.client.post(_VERIFY, headers=gateway.operator, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def _verifier(gateway: Gateway, role: OperatorRole) -> dict[str, str]:
    async with gateway.services.database.control() as session:
        wanted = CreateOperatorKey(name=role.value, role=role)
        made = await gateway.services.features.operator_keys.create(session, wanted, origin=SYSTEM)
    return {"X-API-Key": made.secret}


async def _limited_key(gateway: Gateway, quota: int, **more: Any) -> str:
    body = {"name": "x", "role": "member", "limits": [{"name": "own", "quota": quota, "window_seconds": 3_600}]}
    made = await gateway.client.post("/v1/api-keys", headers=gateway.acme.key("owner"), json=body | more)
    secret: str = made.json()["secret"]
    return secret


async def test_an_admitted_request_is_charged_and_counted(gateway: Gateway) -> None:
    """SE2: who it is, what is left, and the identity for the service; the credential is in no log."""
    key = gateway.acme.keys["member"]
    with capture_logs() as lines:
        found = await _ask(gateway, {"credential": key, "permission": "contacts:read", "cost": 3})
    assert [line["decision"] for line in lines if "decision" in line] == ["allowed"]
    assert key not in str(lines)
    assert {name: found[name] for name in ("allowed", "status", "code", "message", "retry_after")} == {
        "allowed": True,
        **dict.fromkeys(("status", "code", "message", "retry_after")),
    }
    assert found["tenant"] == {"id": show(TENANT, gateway.acme.ref.id), "slug": "acme", "status": "active"}
    assert (found["principal"]["kind"], found["principal"]["roles"]) == ("api_key", ["member"])
    assert (found["plan"]["code"], found["plan"]["features"]["custom_roles"]) == ("scale", True)
    remaining = {each["name"]: (each["quota"], each["window_seconds"], each["remaining"]) for each in found["limits"]}
    assert remaining == {"burst": (1_000, 1, 997), "sustained": (30_000, 60, 29_997)}
    claims = await identity_of(gateway, found["identity"])
    assert (claims["sub"], claims["aud"]) == (found["principal"]["id"], "decisions")
    again = await _ask(gateway, {"credential": key} | _READ)
    assert [each["remaining"] for each in again["limits"]] == [996, 29_996]
    await _ask(gateway, {"credential": gateway.acme.keys["viewer"], "method": "POST", "path": "/v1/contacts"})
    gateway.services.usage.journal.finish_current()
    await gateway.services.usage.flusher.round()
    counted = {(route, status): count for (_, route, status), count in stored_counts(gateway.urls.superuser).items()}
    assert counted == {
        ("verify", 2): Count(1, 3),
        ("/v1/contacts", 2): Count(1, 1),
        ("/v1/contacts", 4): Count(1, 1),
    }


async def test_a_refusal_is_the_gates_own(gateways: GatewayFactory) -> None:
    """AZ2: with the code of the gate, and 200: the question has been answered."""
    async with gateways() as gateway:
        key, viewer = gateway.acme.keys["member"], gateway.acme.keys["viewer"]
        once = await _limited_key(gateway, 1)
        bound = await _limited_key(gateway, 100, allowed_cidrs=["203.0.113.0/24"])
        cases: list[tuple[dict[str, Any], int | None, str | None]] = [
            ({"credential": "tn_live_wrong"}, 401, "credential_invalid"),
            ({"credential": generate(SecretKind.LIVE)}, 401, "credential_invalid"),
            ({"credential": "a.b.c"}, 401, "credential_invalid"),
            ({"credential": "ü" * 10}, 401, "credential_invalid"),
            ({"credential": gateway.operator["X-API-Key"]}, 403, "forbidden"),
            ({"credential": viewer, "permission": "contacts:create"}, 403, "forbidden"),
            ({"credential": viewer, "permission": "usage:read"} | _READ, 403, "forbidden"),
            ({"credential": viewer, "permission": "contacts:read"} | _READ, None, None),
            ({"credential": viewer, "method": "GET", "path": "/operator/v1/tenants"}, 403, "forbidden"),
            ({"credential": key, "method": "GET", "path": "/unknown"}, 404, "not_found"),
            ({"credential": key, "method": "GET", "path": "/livez/../v1/contacts"}, 404, "not_found"),
            ({"credential": key, "method": "PUT", "path": "/v1/contacts"}, 405, "method_not_allowed"),
            ({"credential": key, "method": "GET", "path": "/v1/%00"}, 400, "malformed_request"),
            ({"credential": key, "method": "BREW", "path": "/v1/contacts"}, 501, "method_not_implemented"),
            ({"credential": once}, None, None),
            ({"credential": once}, 429, "rate_limited"),
            ({"credential": bound, "client": "203.0.113.255"}, None, None),
            ({"credential": bound, "client": "203.0.114.0"}, 403, "ip_not_allowed"),
            ({"credential": bound}, 403, "ip_not_allowed"),
        ]
        for body, status, code in cases:
            found = await _ask(gateway, body)
            assert (found["allowed"], found["status"], found["code"]) == (status is None, status, code), body
            assert (found["identity"] is None) == (status is not None)
            unknown = status in {400, 401, 501} or body["credential"] not in {key, viewer, bound, once}
            assert (found["principal"] is None) == unknown
            assert (found["retry_after"] is None) == (status != 429)


async def test_a_batch_decides_each_by_itself_and_in_order(gateway: Gateway) -> None:
    """1 to 100 requests; one that fails takes nothing from the others."""
    slow = await _limited_key(gateway, 2)
    asked = [{"credential": slow}, {"credential": "nonsense"}, *({"credential": slow} for _ in range(98))]
    answer = await gateway.client.post(_BATCH, headers=gateway.operator, json={"requests": asked})
    results = answer.json()["results"]
    assert [each["code"] for each in results] == [None, "credential_invalid", None, *["rate_limited"] * 97]
    for requests in ([], [*asked, asked[0]]):
        refused = await gateway.client.post(_BATCH, headers=gateway.operator, json={"requests": requests})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/requests")


async def test_bad_input_is_refused_before_anything_is_charged(gateway: Gateway) -> None:
    """AZ7, DA1: 422 with pointers, in a batch as well; the credential is not echoed."""
    key = gateway.acme.keys["member"]
    bad: list[tuple[dict[str, Any], str, str]] = [
        ({}, "/credential", "missing"),
        ({"credential": ""}, "/credential", "too_short"),
        ({"credential": key * 200}, "/credential", "too_long"),
        ({"credential": 7}, "/credential", "wrong_type"),
        ({"credential": key, "path": "/x"}, "/method", "missing"),
        ({"credential": key, "method": "GET"}, "/path", "missing"),
        ({"credential": key, "method": "GET", "path": "x"}, "/path", "bad_format"),
        ({"credential": key, "permission": "contacts:fly"}, "/permission", "unknown_permission"),
        ({"credential": key, "cost": 0}, "/cost", "too_small"),
        ({"credential": key, "cost": 1.5}, "/cost", "wrong_type"),
        ({"credential": key, "cost": True}, "/cost", "wrong_type"),
        ({"credential": key, "client": "10.0.0.0/8"}, "/client", "bad_address"),
        ({"credential": key, "host": "a b"}, "/host", "bad_format"),
        ({"credential": key, "tenant": "acme"}, "/tenant", "unknown_field"),
    ]
    for body, pointer, code in bad:
        for path, sent, prefix in (
            (_VERIFY, body, ""),
            (_BATCH, {"requests": [{"credential": key}, body]}, "/requests/1"),
        ):
            answer = await gateway.client.post(path, headers=gateway.operator, json=sent)
            assert answer.status_code == 422, body
            assert {"pointer": prefix + pointer, "code": code} == {
                name: answer.json()["errors"][0][name] for name in ("pointer", "code")
            }
            assert key not in answer.text
    found = await _ask(gateway, {"credential": key})
    assert [each["remaining"] for each in found["limits"]] == [999, 29_999]


async def test_the_role_verifier_may_ask_and_nothing_else(gateway: Gateway) -> None:
    """AZ1, AZ3: tests/architecture/test_routes.py compares the guards of all other routes."""
    verifier, support = await _verifier(gateway, OperatorRole.VERIFIER), await _verifier(gateway, OperatorRole.SUPPORT)
    body = {"credential": gateway.acme.keys["member"]}
    cases: tuple[tuple[dict[str, str], int], ...] = (
        (verifier, 200),
        (gateway.operator, 200),
        (support, 403),
        (gateway.acme.key("owner"), 403),
        ({}, 401),
    )
    for headers, status in cases:
        assert (await gateway.client.post(_VERIFY, headers=headers, json=body)).status_code == status
        batch = {"requests": [body]}
        assert (await gateway.client.post(_BATCH, headers=headers, json=batch)).status_code == status
    for path in ("/operator/v1/tenants", "/operator/v1/operator-keys", "/v1/me", "/v1/contacts", "/metrics"):
        expected = 200 if path == "/metrics" else 403  # open to the local network
        assert (await gateway.client.get(path, headers=verifier)).status_code == expected, path


async def test_a_flood_of_bad_credentials_costs_little_and_locks_out_no_other(gateway: Gateway) -> None:
    """ID1, TH4, TH12: limited by the described client; the service that asks, and others' clients, go on."""
    services, good = gateway.services, gateway.acme.keys["member"]
    flood, other = "192.0.2.66", "192.0.2.77"

    async def ask(credentials: list[str], client: str) -> list[str | None]:
        body = {"requests": [{"credential": each, "client": client} for each in credentials]}
        answer = await gateway.client.post(_BATCH, headers=gateway.operator, json=body)
        return [each["code"] for each in answer.json()["results"]]

    assert await ask([good], flood) == [None]
    loads = services.principals.loads
    wrong = [generate(SecretKind.LIVE)[:-1] + "!" for _ in range(100)]
    assert await ask(wrong, flood) == ["credential_invalid"] * 100
    assert services.principals.loads == loads, "a wrong checksum needs no look-up"
    guesses = [generate(SecretKind.LIVE) for _ in range(100)]
    assert set(await ask(guesses, flood)) == {"rate_limited"}
    assert services.principals.loads - loads <= 64, "past the limit they take turns"
    loads = services.principals.loads
    assert await ask([good, wrong[0]], flood) == [None, "credential_invalid"]
    assert await ask([gateway.globex.keys["viewer"], gateway.globex.keys["owner"]], other) == [None, None]
    assert services.principals.loads == loads + 2


async def test_an_ended_key_is_refused_at_once(gateway: Gateway) -> None:
    """ID4: verify trusts no cache that the gate would not trust."""
    key, owner = gateway.acme.keys["viewer"], gateway.acme.key("owner")
    found = await _ask(gateway, {"credential": key})
    assert read(API_KEY, found["principal"]["id"])
    revoked = await gateway.client.post(f"/v1/api-keys/{found['principal']['id']}/revoke", headers=owner)
    assert revoked.status_code == 204
    assert (await _ask(gateway, {"credential": key}))["code"] == "credential_revoked"
