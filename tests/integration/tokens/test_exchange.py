"""Token exchange (RFC 8693) with a real issuer and a hostile one: only the workload that the rule names is let in."""

import asyncio
import base64
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from tenants.identifiers import WORKLOAD_RULE, new_id, show
from tenants.workloads import repository
from tests.fixtures.gateways import GatewayFactory
from tests.fixtures.oidc import Claims, HostileProvider, RealProvider, new_key, unsigned
from tests.fixtures.people import execute, sign_in
from tests.fixtures.tokens import EXCHANGE, JWT, LOOPBACK, RULES, Tokens, bearer

pytestmark = pytest.mark.anyio

_AUDIENCE = "https://api.acme.example"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
_LONG_AGO, _SOON = 1_600_000_000, 4_000_000_000


async def _refused(tokens: Tokens, rule: str, token: str, case: object = None) -> None:
    answer = await tokens.exchange(rule, token)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), (case, answer.text)
    assert answer.json()["code"] == "credential_invalid", case
    assert "acme" not in answer.text, case


_ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "Ed25519"]


async def test_a_workload_of_a_real_issuer_gets_a_token(tokens: Tokens, oidc_provider: RealProvider) -> None:
    """ID6: each algorithm that is allowed, signed by a provider in a process of its own. No key is stored."""
    for algorithm in _ALGORITHMS:
        claims = {"sub": f"workload:{algorithm}"}
        rule = await tokens.rule(oidc_provider.issuer, claims=claims, token_seconds=120)
        answer = await tokens.exchange(rule, oidc_provider.workload_token(_AUDIENCE, algorithm))
        assert answer.status_code == 200, answer.text
        given = answer.json()
        token = given.pop("access_token")
        me = (await tokens.me(token)).json()
        assert given == {
            "token_type": "Bearer",
            "issued_token_type": _ACCESS_TOKEN,
            "expires_in": 120,
            "scope": " ".join(me["permissions"]),
        }
        assert me["principal"] == {"kind": "workload", "id": rule, "roles": ["member"]}
        await _refused(tokens, rule, oidc_provider.workload_token("https://another.example", algorithm), "audience")


async def test_requests_of_a_workload_are_usage_of_its_rule(tokens: Tokens, hostile: HostileProvider) -> None:
    """Counted by the rule, in the journal and in what the tenant reads."""
    rule = await tokens.rule(hostile.issuer)
    token, client = await tokens.exchanged(rule, hostile.workload_token()), tokens.gateway.client
    made = await client.post("/v1/contacts", json={"name": "By a workload"}, headers=bearer(token))
    assert made.status_code == 201, made.text
    tokens.gateway.services.usage.journal.finish_current()
    await tokens.gateway.services.usage.flusher.round()
    usage = await client.get("/v1/usage?group_by=key", headers=tokens.gateway.acme.key("admin"))
    assert [(each["key"], each["requests"]) for each in usage.json()["data"]] == [(rule, 1)]


async def test_what_the_log_says_of_an_exchange(tokens: Tokens, hostile: HostileProvider) -> None:
    """AU1: who came, by which rule, and what was refused and why; what the workload then does names the rule."""
    rule = await tokens.rule(hostile.issuer, claims={"sub": "repo:acme/*"}, role="admin")
    token = await tokens.exchanged(rule, hostile.workload_token(sub="repo:acme/\u202eapi\u0000" + "x" * 500))
    await _refused(tokens, rule, hostile.workload_token(sub="repo:mallory/api"))
    await tokens.gateway.services.features.refusals.flush(everything=True)
    client = tokens.gateway.client
    assert (await client.patch("/v1/tenant", json={"name": "By a workload"}, headers=bearer(token))).status_code == 200
    events = (await client.get("/v1/audit-events", headers=tokens.gateway.acme.key("owner"))).json()["data"]
    by_action = {each["action"]: each for each in events}
    issued, refused = by_action["workload_rules.token_issued"], by_action["workload_rules.token_refused"]
    assert (issued["category"], issued["object"], issued["actor"]) == ("access", rule, {"kind": "workload", "id": rule})
    assert issued["after"]["subject"] == "repo:acme/api" + "x" * 240
    assert (refused["object"], refused["reason"]) == (rule, "claim sub does not match the rule")
    assert by_action["tenant.updated"]["actor"] == {"kind": "workload", "id": rule}
    assert by_action["workload_rules.created"]["after"]["issuer"] == hostile.issuer


_WRONG_CLAIMS: list[Claims] = [
    {"iss": "https://login.example.com"},
    {"iss": None},
    {"aud": "another"},
    {"aud": [_AUDIENCE, "another"]},
    {"aud": []},
    {"aud": None},
    {"sub": "repo:acme/api:ref:refs/heads/main2"},
    {"sub": "repo:acme/api:ref:refs/heads/other"},
    {"sub": ""},
    {"sub": None},
    {"sub": ["repo:acme/api:ref:refs/heads/main"]},
    {"exp": _LONG_AGO},
    {"exp": None},
    {"exp": "4000000000"},
    {"exp": True},
    {"exp": _SOON},  # lives for longer than a day
    {"iat": None},
    {"iat": _SOON},
    {"iat": 1.5},
    {"nbf": _SOON},
    {"nbf": "0"},
]


async def test_wrong_claims_are_refused(tokens: Tokens, hostile: HostileProvider) -> None:
    """ID6: issuer and audience exact, times there and sane, every pattern met. The good token passes."""
    rule = await tokens.rule(hostile.issuer)
    for claims in _WRONG_CLAIMS:
        await _refused(tokens, rule, hostile.workload_token(**claims), claims)
    assert (await tokens.exchange(rule, hostile.workload_token())).status_code == 200
    assert (await tokens.exchange(rule, hostile.workload_token(nbf=None, jti=None))).status_code == 200


def _symmetric(header: dict[str, Any], claims: Claims, hostile: HostileProvider) -> str:
    """The public key as the secret of a MAC."""
    head, payload, _ = unsigned(header | {"alg": "HS256"}, claims).split(".")
    mac = hmac.digest(hostile.key.as_pem(private=False), f"{head}.{payload}".encode(), "sha256")
    return f"{head}.{payload}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def _by_another_key(header: dict[str, Any], claims: Claims, _hostile: HostileProvider) -> str:
    return jwt.encode(header, claims, new_key(), algorithms=["RS256"])


def _by_a_key_it_carries(header: dict[str, Any], claims: Claims, _hostile: HostileProvider) -> str:
    key = new_key()
    return jwt.encode(header | {"jwk": key.as_dict(private=False)}, claims, key, algorithms=["RS256"])


def _of_another_type(header: dict[str, Any], claims: Claims, hostile: HostileProvider) -> str:
    return jwt.encode(header | {"typ": "logout+jwt"}, claims, hostile.key, algorithms=["RS256"])


def _changed_afterwards(header: dict[str, Any], claims: Claims, hostile: HostileProvider) -> str:
    head, _, signature = jwt.encode(header, claims | {"sub": "x"}, hostile.key, algorithms=["RS256"]).split(".")
    return ".".join((head, jwt.encode(header, claims, hostile.key, algorithms=["RS256"]).split(".")[1], signature))


def _by_a_curve_that_is_not_published(header: dict[str, Any], claims: Claims, _hostile: HostileProvider) -> str:
    key = ECKey.generate_key("P-521", {"kid": "good"})
    return jwt.encode(header | {"alg": "ES512"}, claims, key, algorithms=["ES512"])


Forgery = Callable[[dict[str, Any], Claims, HostileProvider], str]
_FORGED: list[Forgery] = [
    lambda header, claims, _: unsigned(header | {"alg": "none"}, claims),
    lambda header, claims, _: unsigned(header, claims),
    *(_symmetric, _by_another_key, _by_a_key_it_carries, _of_another_type, _changed_afterwards),
    _by_a_curve_that_is_not_published,
]


async def test_forged_tokens_are_refused(tokens: Tokens, hostile: HostileProvider) -> None:
    """ID6: the algorithm is pinned to published public keys."""
    rule = await tokens.rule(hostile.issuer)
    for forged in _FORGED:
        hostile.forge = partial(_forge, forged, hostile)
        await _refused(tokens, rule, hostile.workload_token(), forged)
    hostile.forge = None
    assert (await tokens.exchange(rule, hostile.workload_token())).status_code == 200


def _forge(forged: Forgery, hostile: HostileProvider, header: dict[str, Any], claims: Claims) -> str:
    return forged(header, claims, hostile)


async def test_what_is_no_subject_token_is_refused(tokens: Tokens, hostile: HostileProvider) -> None:
    """Ours are not exchanged, keys are none; the form is checked before the rule is looked up."""
    rule, gateway = await tokens.rule(hostile.issuer), tokens.gateway
    own = await tokens.exchanged(rule, hostile.workload_token())
    person = (await sign_in(gateway)).access_token
    for token in (own, person, gateway.acme.keys["owner"], "a.b.c", "x", "é", "x" * 12_289):
        await _refused(tokens, rule, token, token[:20])
    good = hostile.workload_token()
    asked = {"grant_type": EXCHANGE, "client_id": rule, "subject_token": good, "subject_token_type": JWT}
    for changed, error in (
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"),
        ({"actor_token": good}, "invalid_request"),
        ({"client_secret": gateway.acme.keys["owner"]}, "invalid_request"),
        ({"client_id": ""}, "invalid_request"),
        ({"client_id": "acme"}, "invalid_request"),
        ({"resource": "https://another.example"}, "invalid_target"),
        ({"audience": "another"}, "invalid_target"),
        ({"scope": "contacts:read api_keys:create"}, "invalid_scope"),
    ):
        answer = await tokens.ask(asked | changed)
        assert (answer.status_code, answer.json()["error"]) == (400, error), changed
    assert (await tokens.exchange(rule, good, audience="tenantry")).status_code == 200, "nothing above has used it up"


async def test_a_token_is_exchanged_once(tokens: Tokens, hostile: HostileProvider, gateways: GatewayFactory) -> None:
    """A replay is refused by every worker; of concurrent ones exactly one succeeds, with a jti or without."""
    rule = await tokens.rule(hostile.issuer)
    async with gateways(**LOOPBACK) as other:
        both = (tokens, Tokens(other))
        for changed in ({}, {"jti": None}):
            token = hostile.workload_token(**changed)
            answers = await asyncio.gather(*(each.exchange(rule, token) for _ in range(10) for each in both))
            assert sorted(each.status_code for each in answers) == [200] + [400] * 19
        same_id = (
            hostile.workload_token(jti="1"),
            hostile.workload_token(jti="1", iat=hostile.workload_claims()["iat"] - 1),
        )
        assert (await tokens.exchange(rule, same_id[0])).status_code == 200
        await _refused(Tokens(other), rule, same_id[1], "another token of the same id")
        reusable = await tokens.rule(hostile.issuer, single_use=False)
        token = hostile.workload_token()
        for _ in range(2):
            assert (await tokens.exchange(reusable, token)).status_code == 200


async def test_the_memory_of_tokens_is_emptied(tokens: Tokens, hostile: HostileProvider) -> None:
    """An expired token needs no memory: the job deletes it; a token that is still valid stays remembered."""
    rule = await tokens.rule(hostile.issuer)
    for _ in range(2):
        await tokens.exchanged(rule, hostile.workload_token())
    execute(
        tokens.gateway,
        "UPDATE tenantry.workload_exchanges SET expires_at = now() - interval '6 minutes'"
        " WHERE token_digest = (SELECT max(token_digest) FROM tenantry.workload_exchanges)",
    )
    async with tokens.gateway.services.database.control() as session:
        await repository.forget_expired(session, timedelta(minutes=5))
    assert execute(tokens.gateway, "SELECT count(*) FROM tenantry.workload_exchanges") == [(1,)]


async def test_a_workload_is_bounded_by_its_rule(tokens: Tokens, hostile: HostileProvider) -> None:
    """AZ5: scopes, networks, and nothing that would outlast the token, whatever the role holds."""
    owner = await tokens.rule(hostile.issuer, role="owner")
    token = await tokens.exchanged(owner, hostile.workload_token())
    held = set((await tokens.me(token)).json()["permissions"])
    lasting = {"api_keys:create", "api_keys:rotate", "invitations:create", "owners:manage", "scim:manage"}
    lasting |= {"service_keys:create", "sso:manage", "workloads:manage"}
    assert held.isdisjoint(lasting)
    assert {"api_keys:revoke", "contacts:create", "members:read"} <= held
    made = await tokens.gateway.client.post("/v1/api-keys", json={"name": "a", "role": "viewer"}, headers=bearer(token))
    assert (made.status_code, made.json()["code"]) == (403, "forbidden")
    narrow = await tokens.rule(hostile.issuer, scopes=["contacts:read", "deals:read"])
    token = await tokens.exchanged(narrow, hostile.workload_token(), scope="deals:read")
    assert (await tokens.me(token)).json()["permissions"] == ["deals:read"]
    elsewhere = await tokens.rule(hostile.issuer, allowed_cidrs=["192.0.2.0/24"])
    unused = hostile.workload_token()
    answer = await tokens.exchange(elsewhere, unused)
    assert (answer.status_code, answer.json()["code"]) == (403, "ip_not_allowed")
    assert (await tokens.change_rule(elsewhere, allowed_cidrs=[])).status_code == 200
    assert (await tokens.exchange(elsewhere, unused)).status_code == 200, "it was not used up"


async def test_what_a_rule_gives_is_explained(tokens: Tokens, hostile: HostileProvider) -> None:
    """AZ10: for the rule by its id, enabled or not, and for a token of it that asks about itself."""
    client, owner = tokens.gateway.client, tokens.gateway.acme.key("owner")
    rule = await tokens.rule(hostile.issuer, role="owner")
    token, asked = await tokens.exchanged(rule, hostile.workload_token()), {"permission": "api_keys:create"}
    for headers, body in ((owner, {**asked, "principal": rule}), (bearer(token), asked)):
        answer = await client.post("/v1/decisions/explain", json=body, headers=headers)
        assert (answer.status_code, answer.json()["decision"]["allowed"]) == (200, False), answer.text
        assert answer.json()["principal"] == {"kind": "workload", "id": rule, "is_caller": headers is not owner}
    await tokens.change_rule(rule, enabled=False)
    body = {"permission": "contacts:read", "principal": rule}
    answer = await client.post("/v1/decisions/explain", json=body, headers=owner)
    assert answer.json()["decision"]["code"] == "credential_revoked"
    foreign = await client.post("/v1/decisions/explain", json=body, headers=tokens.gateway.globex.key("owner"))
    assert foreign.status_code == 404


async def test_a_token_ends_with_its_rule_on_every_worker(
    tokens: Tokens, hostile: HostileProvider, gateways: GatewayFactory
) -> None:
    """ID4, ID14: changed, disabled, deleted, or its tenant suspended; each was cached by both workers."""
    async with gateways(**LOOPBACK) as other:
        for change in ({"name": "another"}, {"enabled": False}, None):
            rule = await tokens.rule(hostile.issuer)
            token = await tokens.exchanged(rule, hostile.workload_token())
            assert (await tokens.me(token)).status_code == (await tokens.me(token, other)).status_code == 200
            path, owner = f"{RULES}/{rule}", tokens.gateway.acme.key("owner")
            if change is None:
                assert (await tokens.gateway.client.delete(path, headers=owner)).status_code == 204
            else:
                assert (await tokens.change_rule(rule, **change)).status_code == 200
            for gateway in (tokens.gateway, other):
                await gateway.catch_up()
                assert (await tokens.me(token, gateway)).json()["code"] == "credential_revoked", change
            if change != {"name": "another"}:
                await _refused(tokens, rule, hostile.workload_token(), change)
        rule = await tokens.rule(hostile.issuer)
        token = await tokens.exchanged(rule, hostile.workload_token())
        execute(tokens.gateway, "UPDATE tenantry.tenants SET status = 'suspended' WHERE slug = 'acme'")
        await tokens.gateway.catch_up()
        assert (await tokens.me(token)).json()["code"] == "tenant_suspended"
        answer = await tokens.exchange(rule, hostile.workload_token())
        assert (answer.status_code, answer.json()["code"]) == (403, "tenant_suspended")


async def test_no_rule_is_told_from_a_rule_of_another_tenant(tokens: Tokens, hostile: HostileProvider) -> None:
    """AZ4: the id names one rule; an unknown one, a disabled one and one of another tenant look alike."""
    rule = await tokens.rule(hostile.issuer, enabled=False)
    globex = await tokens.gateway.client.post(
        RULES,
        json={
            "name": "theirs",
            "issuer": hostile.issuer,
            "audience": _AUDIENCE,
            "claims": {"sub": "repo:globex/api"},
            "role": "member",
        },
        headers=tokens.gateway.globex.key("owner"),
    )
    unknown, token = show(WORKLOAD_RULE, new_id()), hostile.workload_token()
    texts = set()
    for asked in (rule, globex.json()["id"], unknown, "wlr_x", show("key", new_id())):
        answer = await tokens.exchange(asked, token)
        texts.add(json.dumps({**answer.json(), "request_id": ""}))
    assert len(texts) == 1
