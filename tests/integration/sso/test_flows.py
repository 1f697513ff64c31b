"""Flows: who may end them, how often, until when, and where the browser goes."""

import asyncio

import pytest

from tests.fixtures.gateways import GatewayFactory
from tests.fixtures.oidc import HostileProvider, hostile_provider
from tests.fixtures.people import execute
from tests.fixtures.single_sign_on import SingleSignOn, query_of_url

pytestmark = pytest.mark.anyio


async def _code(sso: SingleSignOn, hostile: HostileProvider) -> tuple[str, str]:
    """A good code and its verifier."""
    started = await sso.start()
    state = hostile.arrived(started.url)["state"]
    answer = await sso.callback(f"/v1/auth/sso/callback?code=any&state={state}")
    return answer.json()["code"], started.verifier


async def test_the_request_to_the_provider_is_bound_to_the_flow(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """RFC 7636, S256; a nonce; a state that is stored as a hash only."""
    await sso.connect(hostile)
    first, second = [query_of_url((await sso.start()).url) for _ in range(2)]
    assert first["response_type"] == "code"
    assert first["redirect_uri"] == "http://gateway.test/v1/auth/sso/callback"
    assert first["scope"] == "openid email profile"
    assert first["code_challenge_method"] == "S256"
    assert all(first[name] != second[name] for name in ("state", "nonce", "code_challenge"))
    stored = str(execute(sso.gateway, "SELECT * FROM tenantry.sso_flows"))
    assert first["state"] not in stored


async def test_a_state_is_used_once_also_by_two_at_once(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """Replay of the callback."""
    await sso.connect(hostile)
    state = hostile.arrived((await sso.start()).url)["state"]
    url = f"/v1/auth/sso/callback?code=any&state={state}"
    answers = await asyncio.gather(*(sso.callback(url) for _ in range(4)))
    assert sorted(each.status_code for each in answers) == [200, 401, 401, 401]
    assert hostile.asked.count("/token") == 1


async def test_the_code_of_one_flow_is_worth_nothing_with_the_verifier_of_another(
    sso: SingleSignOn, hostile: HostileProvider
) -> None:
    """Login CSRF: a victim whose browser is sent a foreign code has the verifier of another flow, or none."""
    await sso.connect(hostile)
    (code, verifier), (_, other) = await _code(sso, hostile), await _code(sso, hostile)
    assert (await sso.redeem(code, other)).json()["code"] == "credential_invalid"
    assert (await sso.redeem(code, verifier)).json()["code"] == "credential_invalid", "a wrong guess uses the code up"
    assert execute(sso.gateway, "SELECT count(*) FROM tenantry.sign_ins") == [(0,)]


async def test_two_exchanges_of_one_code_open_one_session(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """A code is used once."""
    await sso.connect(hostile)
    code, verifier = await _code(sso, hostile)
    answers = await asyncio.gather(*(sso.redeem(code, verifier) for _ in range(4)))
    assert sorted(each.status_code for each in answers) == [200, 401, 401, 401]
    assert execute(sso.gateway, "SELECT count(*) FROM tenantry.sign_ins") == [(1,)]


async def test_flows_and_codes_expire(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """Ten minutes for the flow, one for the code."""
    await sso.connect(hostile)
    code, verifier = await _code(sso, hostile)
    execute(sso.gateway, "UPDATE tenantry.sso_flows SET expires_at = expires_at - interval '60 seconds'")
    assert (await sso.redeem(code, verifier)).json()["code"] == "credential_invalid"
    state = hostile.arrived((await sso.start()).url)["state"]
    execute(sso.gateway, "UPDATE tenantry.sso_flows SET expires_at = expires_at - interval '600 seconds'")
    answer = await sso.callback(f"/v1/auth/sso/callback?code=any&state={state}")
    assert answer.json()["code"] == "credential_invalid"


async def test_a_callback_without_a_flow_is_one_error(sso: SingleSignOn) -> None:
    """The URL, which is not echoed, makes no difference."""
    for query in ("", "code=any", "state=x&code=any", "state=tn_sso_x", "state=%00&code=any", "error=access_denied"):
        answer = await sso.callback(f"/v1/auth/sso/callback?{query}")
        assert (answer.status_code, answer.json()["code"]) == (401, "credential_invalid"), query


async def test_a_refusal_of_the_provider_returns_to_the_client(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """With a stable code and nothing that the provider has sent; its own parameters are tolerated."""
    await sso.connect(hostile)
    started = await sso.start(return_to="http://gateway.test/app")
    state = hostile.arrived(started.url)["state"]
    answer = await sso.callback(
        f"/v1/auth/sso/callback?error=access_denied&error_description=no%20entry&state={state}&session_state=x"
    )
    assert answer.status_code == 303
    assert answer.headers["location"] == "http://gateway.test/app?error=credential_invalid"
    assert hostile.asked.count("/token") == 0


async def test_a_response_of_another_issuer_is_refused(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """RFC 9207: mix-up of providers. One that always names itself must do so."""
    await sso.connect(hostile)
    state = hostile.arrived((await sso.start()).url)["state"]
    url = f"/v1/auth/sso/callback?code=any&state={state}&iss="
    assert (await sso.callback(f"{url}https%3A%2F%2Flogin.example.com")).status_code == 401
    with hostile_provider() as careful:
        careful.metadata["authorization_response_iss_parameter_supported"] = True
        await sso.connect(careful)
        assert (await sso.attack(careful)).status_code == 401
        assert "/token" not in [*hostile.asked, *careful.asked]


_NOT_ALLOWED = [
    "https://evil.example/",
    "//evil.example/",
    "/app",
    "javascript:alert(1)",
    "http://gateway.test.evil.example/",
    "http://gateway.test@evil.example/",
    "http://gateway.test:81/",
    "https://gateway.test/",
    "http://gateway.test/#fragment",
    "http://gateway.test\\@evil.example/",
    "http://gateway.test/\nx",
]


async def test_the_browser_returns_to_allowed_origins_only(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """Open redirect."""
    await sso.connect(hostile)
    for return_to in _NOT_ALLOWED:
        body = {"tenant": "acme", "return_to": return_to}
        answer = await sso.gateway.client.post("/v1/auth/sso/start", json=body)
        assert answer.status_code == 422, return_to
        assert "evil" not in answer.text


async def test_the_browser_returns_to_an_origin_that_the_tenant_allows(
    sso: SingleSignOn, hostile: HostileProvider
) -> None:
    """And no other tenant: the origin is acme's."""
    await sso.connect(hostile)
    change = {"allowed_origins": ["https://app.acme.example"]}
    client = sso.gateway.client
    assert (await client.patch("/v1/tenant", json=change, headers=sso.acme.key("owner"))).status_code == 200
    assert (await sso.start(return_to="https://app.acme.example/in")).url.startswith(hostile.issuer)
    other = {"tenant": "acme", "return_to": "https://app.acme.example:8443/in"}
    assert (await client.post("/v1/auth/sso/start", json=other)).status_code == 422


async def test_a_tenant_without_a_connection_looks_like_none(sso: SingleSignOn) -> None:
    """ID10: no tenant learns of another."""
    answers = [
        await sso.gateway.client.post("/v1/auth/sso/start", json={"tenant": slug}) for slug in ("globex", "nothing")
    ]
    assert {each.status_code for each in answers} == {404}
    assert len({each.text.replace(each.headers["x-request-id"], "") for each in answers}) == 1


async def test_a_provider_that_is_down_is_an_outage(
    sso: SingleSignOn, hostile: HostileProvider, gateways: GatewayFactory
) -> None:
    """401 never means an outage: 503 with Retry-After, and the provider is not asked again at once."""
    await sso.connect(hostile)
    hostile.raw["/.well-known/openid-configuration"] = (502, {}, b"")
    async with gateways(outbound_networks=["127.0.0.0/8"]) as other:  # which has not asked the provider yet
        for _ in range(2):
            answer = await other.client.post("/v1/auth/sso/start", json={"tenant": "acme"})
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert answer.headers["retry-after"] == "1"
    assert hostile.asked.count("/.well-known/openid-configuration") == 2


async def test_a_replaced_provider_ends_flows_and_codes(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """What the former one has vouched for is worth nothing."""
    await sso.connect(hostile)
    code, verifier = await _code(sso, hostile)
    state = hostile.arrived((await sso.start()).url)["state"]
    with hostile_provider() as other:
        await sso.connect(other)
        assert (await sso.redeem(code, verifier)).json()["code"] == "credential_invalid"
        answer = await sso.callback(f"/v1/auth/sso/callback?code=any&state={state}")
        assert answer.json()["code"] == "credential_invalid"
