"""``/v1/sso/connection``: who may configure what, and what a tenant can make the gateway ask."""

import asyncio
from typing import Any

import pytest

from tests.fixtures.gateways import PASSWORD, GatewayFactory
from tests.fixtures.oidc import CLIENT_SECRET, HostileProvider, hostile_provider
from tests.fixtures.people import SignedIn, execute, sign_in
from tests.fixtures.single_sign_on import CONNECTION, SingleSignOn

pytestmark = pytest.mark.anyio


async def _given(sso: SingleSignOn, hostile: HostileProvider, **changed: Any) -> Any:
    return await sso.configure(**{"issuer": hostile.issuer, "client_id": "c", **changed})


async def test_a_connection_is_created_read_replaced_and_removed(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """DA4: with the ETag of each version; 201 once, with Location."""
    client, owner = sso.gateway.client, sso.acme.key("owner")
    assert (await client.get(CONNECTION, headers=owner)).status_code == 404
    made = await _given(sso, hostile)
    assert (made.status_code, made.headers["location"]) == (201, CONNECTION)
    assert made.json()["redirect_uri"] == "http://gateway.test/v1/auth/sso/callback"
    changed = await _given(sso, hostile, client_secret=None, default_role="member")
    assert (changed.status_code, changed.json()["default_role"]) == (200, "member")
    assert changed.headers["etag"] != made.headers["etag"]
    stale = {**owner, "If-Match": made.headers["etag"]}
    assert (await client.put(CONNECTION, json=_body(hostile), headers=stale)).status_code == 412
    assert (await client.delete(CONNECTION, headers=stale)).status_code == 412
    read = await client.get(CONNECTION, headers=owner)
    assert read.headers["etag"] == changed.headers["etag"]
    assert (await client.delete(CONNECTION, headers=owner | {"If-Match": read.headers["etag"]})).status_code == 204
    assert (await client.get(CONNECTION, headers=owner)).status_code == 404
    assert (await client.put(CONNECTION, json=_body(hostile), headers=stale)).status_code == 412, "none is there"


def _body(hostile: HostileProvider) -> dict[str, Any]:
    return {"issuer": hostile.issuer, "client_id": "c", "client_secret": "s", "default_role": "viewer"}


async def test_the_secret_is_sealed_and_never_shown(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """SE1, AZ8: neither in an answer nor in the row, and bound to it."""
    made = await _given(sso, hostile)
    read = await sso.gateway.client.get(CONNECTION, headers=sso.acme.key("owner"))
    stored = execute(sso.gateway, "SELECT client_secret FROM tenantry.sso_connections")[0][0]
    assert CLIENT_SECRET not in made.text + read.text
    assert CLIENT_SECRET.encode() not in stored
    execute(sso.gateway, "UPDATE tenantry.sso_connections SET id = gen_random_uuid()")
    assert (await sso.gateway.client.post("/v1/auth/sso/start", json={"tenant": "acme"})).status_code == 503


async def test_a_stored_secret_is_not_sent_to_another_provider(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """SE1: a caller who may configure the connection cannot read the secret by pointing it elsewhere."""
    await _given(sso, hostile)
    with hostile_provider() as other:
        for provider, client_id in ((other, "c"), (hostile, "another")):
            answer = await _given(sso, provider, client_id=client_id, client_secret=None)
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/client_secret")


_NOT_PUBLIC = [
    "http://login.example.com",
    "ftp://login.example.com",
    "https://user:password@login.example.com",
    "https://login.example.com/?tenant=1",
    "https://login.example.com/#here",
    "https://169.254.169.254/latest",
    "https://10.0.0.1",
    "https://[::1]",
    "https://[::ffff:10.0.0.1]",
    "https://0x0a000001",
    "https://localhost:1",
    "https://nothing.invalid",
    "not a URL",
]


async def test_an_issuer_that_is_not_public_is_refused(sso: SingleSignOn) -> None:
    """PX1: when it is saved; the answer does not reveal what is reachable from the gateway."""
    for issuer in _NOT_PUBLIC:
        answer = await sso.configure(issuer=issuer, client_id="c")
        assert answer.status_code == 422, (issuer, answer.text)
        assert {each["pointer"] for each in answer.json()["errors"]} == {"/issuer"}
        assert {each["code"] for each in answer.json()["errors"]} <= {"bad_url", "provider_unusable"}
    assert execute(sso.gateway, "SELECT count(*) FROM tenantry.sso_connections") == [(0,)]


async def test_the_address_is_checked_when_it_is_connected_too(
    sso: SingleSignOn, hostile: HostileProvider, gateways: GatewayFactory
) -> None:
    """PX1: a connection that was saved while the address was allowed is not asked when it is not."""
    await sso.connect(hostile)
    asked = len(hostile.asked)
    async with gateways() as strict:
        answer = await strict.client.post("/v1/auth/sso/start", json={"tenant": "acme"})
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert len(hostile.asked) == asked


_METADATA: list[dict[str, Any]] = [
    {"issuer": "https://login.example.com"},
    {"authorization_endpoint": "javascript:alert(1)"},
    {"authorization_endpoint": "http://login.example.com/authorize"},
    {"token_endpoint": "http://login.example.com/token"},
    {"jwks_uri": 7},
]


async def test_metadata_that_cannot_be_trusted_is_refused(sso: SingleSignOn) -> None:
    """OpenID Connect Discovery 1.0 section 4.3: of exactly this issuer, with https endpoints."""
    for metadata in _METADATA:
        with hostile_provider() as hostile:
            hostile.metadata = metadata
            answer = await _given(sso, hostile)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "provider_unusable"), metadata


async def test_nobody_maps_a_role_that_they_lack(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """AZ5: neither as the default nor for a group, neither before nor after; and nobody maps owners."""
    client, owner = sso.gateway.client, sso.acme.key("owner")
    role = {"name": "sso-admin", "permissions": ["sso:manage"], "inherits": ["viewer"]}
    assert (await client.post("/v1/roles", json=role, headers=owner)).status_code == 201
    key = {"name": "k", "role": "sso-admin"}
    little = {"X-API-Key": (await client.post("/v1/api-keys", json=key, headers=owner)).json()["secret"]}
    body = _body(hostile)
    for wrong in ({"default_role": "member"}, {"group_roles": {"g": "admin"}}):
        answer = await client.put(CONNECTION, json=body | wrong, headers=little)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await client.put(CONNECTION, json=body, headers=little)).status_code == 201
    await _given(sso, hostile, group_roles={"g": "admin"})
    assert (await client.put(CONNECTION, json=body, headers=little)).status_code == 403, "it would take away admin"
    assert (await client.delete(CONNECTION, headers=little)).status_code == 403
    for role_of_owners in ("owner", "co-owner"):
        if role_of_owners != "owner":
            await client.post(
                "/v1/roles", json={"name": "co-owner", "permissions": [], "inherits": ["owner"]}, headers=owner
            )
        for wrong in ({"default_role": role_of_owners}, {"group_roles": {"g": role_of_owners}}):
            answer = await _given(sso, hostile, **wrong)
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "owner_role")
    assert (await _given(sso, hostile, group_roles={"a/b": "gone"})).json()["errors"] == [
        {"pointer": "/group_roles/a~1b", "code": "unknown_role", "message": "There is no role of this name."}
    ]


async def test_enforcement_ends_and_refuses_every_other_sign_in_but_of_owners(
    sso: SingleSignOn, hostile: HostileProvider
) -> None:
    """ID10, ID11: the refusal follows the password; owners have an emergency access."""
    client = sso.gateway.client
    sso.prove("acme", "acme.example")
    await sso.connect(hostile)
    member, owner = await sign_in(sso.gateway, "member"), await sign_in(sso.gateway, "owner")
    federated = SignedIn.of(sso.gateway, await sso.attack(hostile))
    foreign = await sign_in(sso.gateway, "member", "globex")
    assert (await _given(sso, hostile, client_id="hostile-client", enforced=True)).json()["enforced"] is True
    assert await member.is_over()
    assert [await each.is_over() for each in (owner, federated, foreign)] == [False] * 3
    log_in = {"email": "member@acme.example", "password": PASSWORD, "tenant": "acme"}
    right = await client.post("/v1/auth/login", json=log_in)
    assert (right.status_code, right.json()["code"]) == (403, "forbidden")
    wrong = await client.post("/v1/auth/login", json=log_in | {"password": "another long passphrase"})
    unknown = await client.post("/v1/auth/login", json=log_in | {"email": "nobody@acme.example"})
    steady = {each.text.replace(each.headers["x-request-id"], "") for each in (wrong, unknown)}
    assert (wrong.status_code, len(steady)) == (401, 1)
    await sign_in(sso.gateway, "owner")
    assert (await sso.attack(hostile)).status_code == 200
    assert (await _given(sso, hostile, client_id="hostile-client", enforced=False)).status_code == 200
    await sign_in(sso.gateway, "member")


async def test_no_sign_in_under_way_outlives_enforcement(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """ID11: enforcement waits for it, and ends its session with the others."""
    await sso.connect(hostile)
    sign_in_service, tenant = sso.gateway.services.features.people.sign_in, sso.acme.ref.id
    ((user,),) = execute(sso.gateway, "SELECT id FROM tenantry.users WHERE email = 'member@acme.example'")
    async with sso.gateway.services.database.control() as session:
        await sign_in_service.open_session(session, user, tenant, methods=["pwd"], client=None)
        enforcing = asyncio.create_task(_given(sso, hostile, client_id="hostile-client", enforced=True))
        async with asyncio.timeout(5.0):
            while not execute(  # noqa: ASYNC110 - the server has no event for it
                sso.gateway, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            ):
                await asyncio.sleep(0.01)
    assert (await enforcing).status_code == 200
    assert execute(sso.gateway, "SELECT ended_at IS NOT NULL FROM tenantry.sign_ins") == [(True,)]


async def test_enforcement_needs_a_proven_domain(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """Else nobody could sign in. A provider that is down does not keep anybody from ending it."""
    answer = await _given(sso, hostile, enforced=True)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    sso.prove("acme", "acme.example")
    assert (await _given(sso, hostile, enforced=True)).status_code == 201
    hostile.raw["/.well-known/openid-configuration"] = (503, {}, b"")
    assert (await _given(sso, hostile, enforced=False)).status_code == 200


async def test_withdrawn_trust_ends_the_sessions_that_it_has_opened(
    sso: SingleSignOn, hostile: HostileProvider
) -> None:
    """ID11: and no others; by another issuer, and without one."""
    await sso.connect(hostile)
    first, member = SignedIn.of(sso.gateway, await sso.attack(hostile)), await sign_in(sso.gateway)
    with hostile_provider() as other:
        await sso.connect(other)
        assert await first.is_over()
        second = SignedIn.of(sso.gateway, await sso.attack(other))
    assert (await sso.gateway.client.delete(CONNECTION, headers=sso.acme.key("owner"))).status_code == 204
    assert await second.is_over()
    assert not await member.is_over()
    assert execute(sso.gateway, "SELECT count(*) FROM tenantry.sso_identities") == [(0,)]


_INVALID: list[dict[str, Any]] = [
    {"enforced": "maybe"},
    {"group_roles": ["admin"]},
    {"group_roles": {"\u202e": "admin"}},
    {"audience": "x"},
    {"issuer": None},
]


async def test_an_invalid_body_is_422(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """AZ7: unknown fields are refused."""
    for wrong in _INVALID:
        body = _body(hostile) | wrong
        answer = await sso.gateway.client.put(CONNECTION, json=body, headers=sso.acme.key("owner"))
        assert answer.status_code == 422, wrong


async def test_another_tenant_sees_nothing_of_it(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """AZ4."""
    await sso.connect(hostile)
    client, other = sso.gateway.client, sso.gateway.globex.key("owner")
    assert (await client.get(CONNECTION, headers=other)).status_code == 404
    assert (await client.delete(CONNECTION, headers=other)).status_code == 404
    assert (await client.get(CONNECTION, headers=sso.acme.key("member"))).status_code == 403
