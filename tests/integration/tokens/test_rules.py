"""``/v1/workload-rules``: what a rule must say, and that nobody makes one that gives more than they hold."""

from typing import Any

import pytest

from tests.fixtures.gateways import Gateway
from tests.fixtures.oidc import HostileProvider
from tests.fixtures.tokens import RULES, Tokens

pytestmark = pytest.mark.anyio


async def test_the_life_of_a_rule(tokens: Tokens, hostile: HostileProvider) -> None:
    """201 with Location, pages, ETag and If-Match, PATCH of what is sent, 204; each change in the audit log (AU1)."""
    client, admin = tokens.gateway.client, tokens.gateway.acme.key("owner")
    answer = await tokens.create_rule(hostile.issuer, scopes=["deals:read"], token_seconds=60)
    rule, path = answer.json(), answer.headers["location"]
    assert path == f"{RULES}/{rule['id']}"
    assert (rule["single_use"], rule["enabled"], rule["token_seconds"]) == (True, True, 60)
    read = await client.get(path, headers=admin)
    assert read.json() == rule
    assert (await client.get(RULES, headers=admin)).json()["data"] == [rule]
    stale = {**admin, "If-Match": '"other"'}
    assert (await client.patch(path, json={"name": "x"}, headers=stale)).status_code == 412
    tag = {**admin, "If-Match": read.headers["etag"]}
    changed = await client.patch(path, json={"claims": {"sub": "repo:acme/*"}}, headers=tag)
    assert changed.status_code == 200, changed.text
    assert changed.json() | {"updated_at": None} == rule | {"claims": {"sub": "repo:acme/*"}, "updated_at": None}
    assert (await client.patch(path, json={}, headers=admin)).headers["etag"] == changed.headers["etag"]
    foreign = await client.get(path, headers=tokens.gateway.globex.key("admin"))
    assert foreign.status_code == 404, "AZ4"
    assert (await client.delete(path, headers=tag)).status_code == 412
    assert (await client.delete(path, headers=admin)).status_code == 204
    assert (await client.get(path, headers=admin)).status_code == 404
    events = (await client.get("/v1/audit-events", headers=admin)).json()["data"]
    assert [each["action"] for each in events[::-1]] == [
        f"workload_rules.{done}" for done in ("created", "updated", "deleted")
    ]


_FAULTY: list[tuple[dict[str, Any], str]] = [
    ({"claims": {}}, "/claims"),
    ({"claims": {"environment": "prod"}}, "/claims"),
    ({"claims": {"sub": "*"}}, "/claims"),
    ({"claims": {"sub": "a**"}}, "/claims/sub"),
    ({"claims": {"sub": "repo:acme/api", "aud": "x"}}, "/claims/aud"),
    ({"claims": {"sub": 1}}, "/claims/sub"),
    ({"claims": {f"c{number}": "x" for number in range(11)}}, "/claims"),
    ({"token_seconds": 301}, "/token_seconds"),
    ({"token_seconds": 29}, "/token_seconds"),
    ({"role": "nobody"}, "/role"),
    ({"scopes": ["nothing:read"]}, "/scopes/0"),
    ({"role": "admin", "scopes": ["tenant:read", "api_keys:create"]}, "/scopes/1"),
    ({"allowed_cidrs": ["fe80::1%eth0/64"]}, "/allowed_cidrs/0"),
    ({"issuer": "ftp://issuer.example"}, "/issuer"),
    ({"issuer": "http://issuer.example"}, "/issuer"),
    ({"issuer": "https://user@issuer.example"}, "/issuer"),
    ({"issuer": "https://169.254.169.254"}, "/issuer"),
    ({"issuer": "http://gateway.test"}, "/issuer"),  # ours
    ({"version": 3}, "/version"),
]


async def test_a_rule_that_says_too_little_is_refused(tokens: Tokens, hostile: HostileProvider) -> None:
    """AZ7, PX1: 422 that names the field."""
    for changed, pointer in _FAULTY:
        answer = await tokens.create_rule(**{"issuer": hostile.issuer} | changed)
        assert answer.status_code == 422, (changed, answer.text)
        assert [each["pointer"] for each in answer.json()["errors"]] == [pointer], changed


async def _key(gateway: Gateway, **wanted: Any) -> dict[str, str]:
    body = {"name": "a key", "role": "owner", "owner": "tenant"} | wanted
    answer = await gateway.client.post("/v1/api-keys", json=body, headers=gateway.acme.key("owner"))
    assert answer.status_code == 201, answer.text
    return {"X-API-Key": answer.json()["secret"]}


async def test_nobody_makes_or_widens_a_rule_beyond_themselves(tokens: Tokens, hostile: HostileProvider) -> None:
    """AZ5: role, scopes and networks; only what outlives people makes rules; admins may still disable and delete."""
    gateway, client = tokens.gateway, tokens.gateway.client
    body = {"name": "a", "issuer": hostile.issuer, "audience": "x", "claims": {"sub": "repo:a/b"}, "role": "member"}
    for maker in ("member", "viewer"):
        assert (await tokens.create_rule(hostile.issuer, maker)).status_code == 403
    assert (await tokens.create_rule(hostile.issuer, "admin")).status_code == 403
    assert (await client.post(RULES, json=body, headers=await _key(gateway, owner=None))).status_code == 403
    narrow = await _key(gateway, scopes=["workloads:manage", "service_keys:create", "deals:read"])
    assert (await client.post(RULES, json=body, headers=narrow)).status_code == 403
    assert (await client.post(RULES, json={**body, "scopes": ["deals:read"]}, headers=narrow)).status_code == 201
    home = await _key(gateway, allowed_cidrs=["127.0.0.0/8"])
    at_home = await client.post(RULES, json=body, headers=home)
    assert at_home.json()["allowed_cidrs"] == ["127.0.0.0/8"]
    assert (await client.post(RULES, json={**body, "allowed_cidrs": ["0.0.0.0/0"]}, headers=home)).status_code == 403
    for bound in ({"expires_at": "2030-01-01T00:00:00Z"}, {"limits": [{"name": "a", "quota": 9, "window_seconds": 9}]}):
        assert (await client.post(RULES, json=body, headers=await _key(gateway, **bound))).status_code == 403, bound
    wide = await tokens.rule(hostile.issuer, role="owner")
    for change in (
        {"claims": {"sub": "repo:mallory/api"}},
        {"enabled": True},
        {"scopes": ["deals:read"], "role": "owner"},
    ):
        assert (await tokens.change_rule(wide, "admin", **change)).status_code == 403, change
    assert (await tokens.change_rule(wide, "admin", enabled=False)).status_code == 200
    assert (await tokens.change_rule(wide, "admin", enabled=True)).status_code == 403
    assert (await client.delete(f"{RULES}/{wide}", headers=gateway.acme.key("admin"))).status_code == 204


async def test_a_role_that_a_rule_gives_cannot_be_deleted(tokens: Tokens, hostile: HostileProvider) -> None:
    """AZ1: a later role of the same name would be given to the workload."""
    client, owner = tokens.gateway.client, tokens.gateway.acme.key("owner")
    role = await client.post("/v1/roles", json={"name": "deployer", "permissions": ["deals:read"]}, headers=owner)
    rule = await tokens.rule(hostile.issuer, role="deployer")
    token = await tokens.exchanged(rule, hostile.workload_token())
    assert (await tokens.me(token)).json()["permissions"] == ["deals:read"]
    path = f"/v1/roles/{role.json()['id']}"
    assert (await client.delete(path, headers=owner)).status_code == 409
    await client.delete(f"{RULES}/{rule}", headers=owner)
    assert (await client.delete(path, headers=owner)).status_code == 204


async def test_the_number_of_rules_is_bounded(
    tokens: Tokens, hostile: HostileProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant has at most so many."""
    monkeypatch.setattr("tenants.workloads.service.MOST_RULES", 2)
    statuses = [(await tokens.create_rule(hostile.issuer)).status_code for _ in range(3)]
    assert statuses == [201, 201, 409]
