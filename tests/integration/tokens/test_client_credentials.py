"""``POST /v1/auth/token`` with an API key as the client's secret (RFC 6749 section 4.4)."""

import base64
import json
import time
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tenants.secrets.tokens import SecretKind, generate
from tests.fixtures.gateways import GatewayFactory
from tests.fixtures.people import sign_in
from tests.fixtures.tokens import LOOPBACK, TOKEN, Tokens, bearer

pytestmark = pytest.mark.anyio

_FORM = {"content-type": "application/x-www-form-urlencoded"}


def _basic(client: str, secret: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{client}:{secret}'.encode()).decode()}"}


def _claims(token: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return found


async def _made(tokens: Tokens, maker: str = "admin", **wanted: Any) -> dict[str, Any]:
    body = {"name": "a key", "role": "viewer"} | wanted
    answer = await tokens.gateway.client.post("/v1/api-keys", json=body, headers=tokens.gateway.acme.key(maker))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_key_gets_a_token_with_what_it_may_do(tokens: Tokens) -> None:
    """docs/api.md: the shape of RFC 6749 section 5.1, a JWT of RFC 9068, the key's own principal."""
    made = await _made(tokens)
    answer = await tokens.of_key(made["secret"])
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    assert "ratelimit" in answer.headers
    given = answer.json()
    token = given.pop("access_token")
    me = (await tokens.me(token)).json()
    assert given == {"token_type": "Bearer", "expires_in": 900, "scope": " ".join(me["permissions"])}
    assert me["principal"] == {"kind": "api_key", "id": made["id"], "roles": ["viewer"]}
    claims = _claims(token)
    assert (claims["sub"], claims["client_id"]) == (made["id"], made["id"])
    assert claims["exp"] - claims["iat"] == 900
    assert "scope" not in claims, "it follows the key"
    assert made["secret"] not in answer.text


async def test_both_ways_to_authenticate_a_client(tokens: Tokens) -> None:
    """RFC 6749 section 2.3.1: by HTTP Basic or in the body; the client's id is the key's, or left out."""
    made = await _made(tokens)
    secret, grant = made["secret"], {"grant_type": "client_credentials"}
    for client in (made["id"], "", quote(made["id"], safe="")):
        assert (await tokens.ask(grant, _basic(client, secret))).status_code == 200, client
    assert (await tokens.of_key(secret, client_id=made["id"])).status_code == 200
    other = await _made(tokens)
    refused = [
        await tokens.ask(grant, _basic(other["id"], secret)),
        await tokens.of_key(secret, client_id=other["id"]),
        await tokens.ask({**grant, "client_secret": secret}, _basic("", secret)),  # two methods
        await tokens.ask({**grant, "client_id": made["id"]}, _basic("", secret)),  # two ids
        await tokens.ask(grant, bearer(secret)),  # no method of RFC 6749
        await tokens.ask(grant, {"X-API-Key": secret}),
        await tokens.ask(grant, {"Authorization": "Basic ###"}),
        await tokens.ask(grant),
    ]
    for number, answer in enumerate(refused):
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), (number, answer.text)
        assert answer.headers["www-authenticate"] == 'Basic realm="tenantry"'


async def test_what_is_no_key_gets_no_token(tokens: Tokens) -> None:
    """A token is never exchanged for another one; an operator's key, a person's tokens and a wrong key are none."""
    acme, person = tokens.gateway.acme, await sign_in(tokens.gateway)
    token = await tokens.token_of_key(acme.keys["member"])
    wrong = acme.keys["member"][:-1] + ("0" if acme.keys["member"][-1] != "0" else "1")
    unknown = generate(SecretKind.LIVE)
    operator = tokens.gateway.operator["X-API-Key"]
    for secret in (token, person.access_token, person.refresh_token, operator, wrong, unknown, "x"):
        answer = await tokens.of_key(secret)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), secret
        assert answer.json().keys() == {"error", "error_description", "error_uri", "code", "request_id"}
        assert answer.headers["cache-control"] == "no-store"
        assert secret == "x" or secret not in answer.text


_MALFORMED = [
    ("", "invalid_request"),
    ("grant_type=", "invalid_request"),  # RFC 6749 section 3.2: as if it were left out
    ("grant_type=password&username=a&password=b", "unsupported_grant_type"),
    ("grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
    ("grant_type=client_credentials&a=1&a=2", "invalid_request"),
    ("grant_type=client_credentials&scope=%FF", "invalid_request"),
    ("grant_type=client_credentials&scope=%00", "invalid_request"),
    ("&".join(f"p{number}=1" for number in range(51)), "invalid_request"),
]


async def test_a_malformed_form_is_refused(tokens: Tokens) -> None:
    """DA1, RFC 6749 section 5.2: 400, and nothing of the input in the answer."""
    for body, error in _MALFORMED:
        answer = await tokens.gateway.client.post(TOKEN, content=body, headers=_FORM)
        assert (answer.status_code, answer.json()["error"]) == (400, error), body
        assert set(answer.json()["error_description"]) <= set(map(chr, range(0x20, 0x7F))) - set('"\\')


async def test_bounds_of_the_form(tokens: Tokens) -> None:
    """DA2: 16 KiB are read, one byte more is not; another media type and a query are refused."""
    client = tokens.gateway.client
    fits = await client.post(TOKEN, content="a=" + "x" * 16_382, headers=_FORM)
    assert (fits.status_code, fits.json()["error"]) == (400, "invalid_request")
    assert (await client.post(TOKEN, content="a=" + "x" * 16_383, headers=_FORM)).status_code == 413
    assert (await client.post(TOKEN, json={"grant_type": "client_credentials"})).status_code == 415
    asked = await client.post(f"{TOKEN}?client_secret=x", data={"grant_type": "client_credentials"})
    assert (asked.status_code, asked.json()["error"]) == (400, "invalid_request")


async def test_a_scope_narrows_and_never_widens(tokens: Tokens) -> None:
    """AZ5: within the key's own scopes; the token has them in its claims."""
    made = await _made(tokens, role="member", scopes=["contacts:read", "contacts:create", "deals:read"])
    answer = await tokens.of_key(made["secret"], scope="deals:read contacts:read")
    assert answer.json()["scope"] == "contacts:read deals:read"
    token = answer.json()["access_token"]
    assert _claims(token)["scope"] == "contacts:read deals:read"
    assert (await tokens.me(token)).json()["permissions"] == ["contacts:read", "deals:read"]
    client = tokens.gateway.client
    refused = await client.post("/v1/contacts", json={"name": "A"}, headers=bearer(token))
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    for wider in ("contacts:delete", "contacts:read contacts:delete", "nothing", " ", "contacts:read  deals:read"):
        wide = await tokens.of_key(made["secret"], scope=wider)
        assert (wide.status_code, wide.json()["error"]) == (400, "invalid_scope"), wider


async def test_a_token_ends_with_its_key_on_every_worker(tokens: Tokens, gateways: GatewayFactory) -> None:
    """ID4, ID14: revoked, rotated, disabled, after both workers had cached 20 tokens of the key."""
    admin = tokens.gateway.acme.key("admin")
    async with gateways(**LOOPBACK) as other:
        for ending in ("revoke", "rotate", "disable"):
            made = await _made(tokens)
            several = [await tokens.token_of_key(made["secret"]) for _ in range(20)]
            for token in several:
                assert (await tokens.me(token)).status_code == (await tokens.me(token, other)).status_code == 200
            answer = await tokens.gateway.client.post(f"/v1/api-keys/{made['id']}/{ending}", headers=admin)
            assert answer.is_success
            for gateway in (tokens.gateway, other):
                await gateway.catch_up()
                assert {(await tokens.me(token, gateway)).status_code for token in several} == {401}


async def test_a_token_is_narrowed_with_its_key(tokens: Tokens, gateways: GatewayFactory) -> None:
    """ID4, ID16: by a change of the key's scopes, and by what its maker loses; a key that is enabled again works."""
    gateway, owner = tokens.gateway, tokens.gateway.acme.key("owner")
    made = await _made(tokens, role="member", scopes=["contacts:read", "deals:read", "deals:create"])
    async with gateways(**LOOPBACK) as other:
        whole, part = (
            await tokens.token_of_key(made["secret"]),
            await tokens.token_of_key(made["secret"], scope="deals:read"),
        )
        for token in (whole, part):
            assert (await tokens.me(token, other)).status_code == 200
        path, narrower = f"/v1/api-keys/{made['id']}", {"scopes": ["contacts:read", "deals:create"]}
        assert (await gateway.client.patch(path, json=narrower, headers=owner)).status_code == 200
        await other.catch_up()
        assert (await tokens.me(whole, other)).json()["permissions"] == ["contacts:read", "deals:create"]
        assert (await tokens.me(part, other)).json()["permissions"] == []
        for change, status in (("disable", 401), ("enable", 200)):
            await gateway.client.post(f"{path}/{change}", headers=owner)
            await other.catch_up()
            assert (await tokens.me(whole, other)).status_code == status


async def test_a_token_never_outlives_its_key(tokens: Tokens) -> None:
    """The end of the key is in the token, and one that comes later is in the cache."""
    soon = time.time() + 60
    made = await _made(tokens, expires_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(soon)))
    answer = await tokens.of_key(made["secret"])
    assert 55 <= answer.json()["expires_in"] <= 60
    assert _claims(answer.json()["access_token"])["exp"] <= soon
    later = await _made(tokens)
    token = await tokens.token_of_key(later["secret"])
    rotation = {"overlap_seconds": 600}
    path, admin = f"/v1/api-keys/{later['id']}/rotate", tokens.gateway.acme.key("admin")
    assert (await tokens.gateway.client.post(path, json=rotation, headers=admin)).status_code == 201
    assert (await tokens.me(token)).status_code == 200, "it works for as long as the key does"


async def test_the_rules_of_the_key_hold_for_its_token(tokens: Tokens) -> None:
    """Networks, limits and the tenant's state: at the token endpoint and with the token."""
    elsewhere = await _made(tokens, allowed_cidrs=["192.0.2.0/24"])
    refused = await tokens.of_key(elsewhere["secret"])
    assert (refused.status_code, refused.json()["error"], refused.json()["code"]) == (
        403,
        "unauthorized_client",
        "ip_not_allowed",
    )
    limited = await _made(tokens, limits=[{"name": "own", "quota": 2, "window_seconds": 3600}])
    token = await tokens.token_of_key(limited["secret"])
    client = tokens.gateway.client
    headers = [bearer(token), {"X-API-Key": limited["secret"]}, bearer(token)]
    assert [(await client.get("/v1/contacts", headers=each)).status_code for each in headers] == [200, 200, 429]
    path = f"/operator/v1/tenants/{(await client.get('/v1/me', headers=bearer(token))).json()['tenant']['id']}/suspend"
    suspended = await client.post(path, json={"reason": "a test"}, headers=tokens.gateway.operator)
    assert suspended.is_success, suspended.text
    await tokens.gateway.catch_up()
    assert (await tokens.me(token)).json()["code"] == "tenant_suspended"
    answer = await tokens.of_key(tokens.gateway.acme.keys["owner"])
    assert (answer.status_code, answer.json()["code"]) == (403, "tenant_suspended")


async def test_what_a_token_does_is_done_by_its_key(tokens: Tokens) -> None:
    """AU1, ID16: the audit log names the key, and a key that it makes has that one as its maker and its end."""
    maker = await _made(tokens, maker="owner", role="admin", expires_at="2031-01-01T00:00:00Z")
    token = await tokens.token_of_key(maker["secret"])
    body, client = {"name": "by a token", "role": "viewer"}, tokens.gateway.client
    made = await client.post("/v1/api-keys", json=body, headers=bearer(token))
    assert made.status_code == 201, made.text
    assert made.json()["expires_at"] == "2031-01-01T00:00:00Z", "not the end of the token"
    events = await client.get("/v1/audit-events?action=api_keys.created", headers=tokens.gateway.acme.key("admin"))
    newest = events.json()["data"][0]
    assert newest["actor"] == {"kind": "api_key", "id": maker["id"]}


async def test_wrong_secrets_are_counted_before_they_cost(tokens: Tokens) -> None:
    """TH4, TH12: a wrong checksum costs no look-up; known bad ones none again; good ones are not refused for them."""
    principals = tokens.gateway.services.principals
    before = principals.loads
    assert (await tokens.of_key("tn_live_" + "a" * 42)).status_code == 401
    assert principals.loads == before
    unknown = generate(SecretKind.LIVE)
    for _ in range(3):
        assert (await tokens.of_key(unknown)).status_code == 401
    assert principals.loads == before + 1
    assert (await tokens.of_key(tokens.gateway.acme.keys["viewer"])).status_code == 200


async def test_the_metadata_leads_to_the_endpoint(tokens: Tokens) -> None:
    """RFC 8414: public, to be kept by caches; what it names works."""
    answer = await tokens.gateway.client.get("/.well-known/oauth-authorization-server")
    found = answer.json()
    assert "max-age" in answer.headers["cache-control"]
    claims = _claims(await tokens.token_of_key(tokens.gateway.acme.keys["viewer"]))
    assert found["issuer"] == claims["iss"]
    assert found["response_types_supported"] == []
    keys = await tokens.gateway.client.get(found["jwks_uri"])
    assert keys.status_code == 200
    secret = tokens.gateway.acme.keys["viewer"]
    form = {"grant_type": found["grant_types_supported"][0], "client_secret": secret}
    given: httpx.Response = await tokens.gateway.client.post(found["token_endpoint"], data=form)
    assert set(given.json()["scope"].split(" ")) < set(found["scopes_supported"])
