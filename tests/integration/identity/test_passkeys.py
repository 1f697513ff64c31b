"""``/v1/auth/passkeys``: registering passkeys, signing in with them, with and without a password."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.fixtures.authenticator import Authenticator
from tests.fixtures.gateways import PASSWORD, Gateway, GatewayFactory
from tests.fixtures.mfa import challenged, enrol, passkey_options, post, register
from tests.fixtures.people import SignedIn, execute, sign_in

pytestmark = pytest.mark.anyio

_PASSKEYS = "/v1/auth/passkeys"


async def _registered(gateway: Gateway, role: str = "member", **device: Any) -> tuple[SignedIn, Authenticator]:
    session, made = await sign_in(gateway, role), Authenticator(**device)
    assert (await register(session, made)).status_code == 201
    return session, made


async def _methods(session: SignedIn) -> list[str]:
    sessions = (await session.get("/v1/auth/sessions")).json()["data"]
    (current,) = [each["methods"] for each in sessions if each["current"]]
    return list(current)


async def test_a_passkey_is_a_second_factor(gateway: Gateway) -> None:
    """ID13: registered with recovery codes, asked for after the password, named in the session."""
    session, device = await _registered(gateway, verifies=False)
    challenge = await challenged(gateway)
    assert challenge["methods"] == ["passkey", "recovery_code"]
    options = await passkey_options(gateway, mfa_token=challenge["mfa_token"])
    assert [each["id"] for each in options["allowCredentials"]] == [device.get(options)["id"]]
    body = {"mfa_token": challenge["mfa_token"], "passkey": device.get(options)}
    opened = SignedIn.of(gateway, await post(gateway, "mfa/verify", **body))
    assert await _methods(opened) == ["pwd", "hwk"]
    assert (await session.get("/v1/auth/mfa")).json()["passkeys"] == 1


async def test_a_passkey_alone_signs_in_when_it_has_verified_the_person(gateway: Gateway) -> None:
    """ID13: without a password and an address; it counts as two factors. The tenant may be named."""
    _, device = await _registered(gateway, synced=True)
    for tenant in ({}, {"tenant": "acme"}):
        options = await passkey_options(gateway)
        assert (options["allowCredentials"], options["userVerification"]) == ([], "required")
        answer = await post(gateway, "passkeys/login", passkey=device.get(options), **tenant)
        assert await _methods(SignedIn.of(gateway, answer)) == ["swk"]
    options = await passkey_options(gateway)
    foreign = await post(gateway, "passkeys/login", passkey=device.get(options), tenant="globex")
    assert foreign.json()["code"] == "credential_invalid"
    device.verifies = False
    options = await passkey_options(gateway)
    assert (await post(gateway, "passkeys/login", passkey=device.get(options))).status_code == 401


async def test_a_member_of_several_tenants_names_one(gateway: Gateway) -> None:
    """ID13: a passkey names the person alone."""
    _, device = await _registered(gateway)
    execute(
        gateway,
        "INSERT INTO tenantry.memberships (tenant_id, user_id, roles) SELECT t.id, u.id, '{viewer}'"
        " FROM tenantry.tenants t, tenantry.users u WHERE slug = 'globex' AND email = 'member@acme.example'",
    )
    options = await passkey_options(gateway)
    unnamed = await post(gateway, "passkeys/login", passkey=device.get(options))
    assert (unnamed.status_code, unnamed.json()["errors"][0]["pointer"]) == (422, "/tenant")
    options = await passkey_options(gateway)
    answer = await post(gateway, "passkeys/login", passkey=device.get(options), tenant="globex")
    assert (await SignedIn.of(gateway, answer).get("/v1/me")).json()["tenant"]["slug"] == "globex"


@pytest.mark.parametrize(
    ("device", "client_data"),
    [
        ({"origin": "http://gateway.test:8000"}, {}),
        ({"domain": "test"}, {}),
        ({}, {"challenge": "bm90IG91cnM"}),
        ({}, {"type": "webauthn.create"}),
        ({}, {"crossOrigin": True}),
        ({"handle": None}, {}),
        ({"credential_id": b"unknown"}, {}),
        ({"counts": 4}, {}),
    ],
)
async def test_a_passkey_that_does_not_hold_signs_nobody_in(
    gateway: Gateway, device: dict[str, Any], client_data: dict[str, Any]
) -> None:
    """ID13: wrong origin, domain, challenge; no person named; unknown; its counter went back: all answered alike."""
    _, made = await _registered(gateway, counts=5)
    for name, value in device.items():
        setattr(made, name, value)
    answer = await post(gateway, "passkeys/login", passkey=made.get(await passkey_options(gateway), **client_data))
    assert (answer.status_code, answer.json()["code"]) == (401, "credential_invalid")


async def test_a_challenge_is_used_once_by_whom_it_is_for(gateway: Gateway) -> None:
    """ID13: replayed, at once and later; expired; of another purpose; another person's passkey."""
    _, device = await _registered(gateway)
    _, other = await _registered(gateway, "viewer")
    passkey = device.get(await passkey_options(gateway))
    sent = [post(gateway, "passkeys/login", passkey=passkey) for _ in range(8)]
    assert Counter(each.status_code for each in await asyncio.gather(*sent)) == {200: 1, 401: 7}
    assert (await post(gateway, "passkeys/login", passkey=passkey)).status_code == 401

    token = (await challenged(gateway))["mfa_token"]
    sign_in_options, options = await passkey_options(gateway), await passkey_options(gateway, mfa_token=token)
    for wrong in (device.get(sign_in_options), other.get(options)):
        assert (await post(gateway, "mfa/verify", mfa_token=token, passkey=wrong)).status_code == 401
    assert (await post(gateway, "passkeys/login", passkey=other.get(options))).status_code == 401
    mixed = other.get(await passkey_options(gateway))
    mixed["response"]["userHandle"] = device.handle
    assert (await post(gateway, "passkeys/login", passkey=mixed)).status_code == 401, "in another person's name"
    options = await passkey_options(gateway)
    execute(gateway, "UPDATE tenantry.mfa_challenges SET expires_at = now()")
    assert (await post(gateway, "passkeys/login", passkey=device.get(options))).status_code == 401
    assert execute(gateway, "SELECT digest FROM tenantry.mfa_challenges WHERE octet_length(digest) <> 32") == []


async def test_registering_needs_a_proof_and_its_own_challenge(gateway: Gateway) -> None:
    """ID13: an access token alone adds no passkey; a passkey is registered once, by the person who began."""
    session = await sign_in(gateway)
    for proof in ({}, {"password": "another long passphrase"}, {"code": "000000"}):
        answer = await session.post(f"{_PASSKEYS}/registration", **proof)
        assert answer.status_code in {403, 422}, proof
    begun = await session.post(f"{_PASSKEYS}/registration", password=PASSWORD)
    options, device, thief = begun.json()["public_key"], Authenticator(), await sign_in(gateway, "viewer")
    assert (options["rp"], options["user"]["name"]) == (
        {"name": "gateway.test", "id": "gateway.test"},
        "member@acme.example",
    )
    passkey = device.create(options)
    for by in (thief, session):
        refused = await by.post(_PASSKEYS, name="Laptop", passkey=Authenticator().create(options, origin="http://a.b"))
        assert refused.json()["errors"][0]["pointer"] == "/passkey"
    refused = await session.post(_PASSKEYS, name="Laptop", passkey=passkey)
    assert refused.status_code == 422, "the challenge was used up"
    created = await register(session, device)
    assert len(created.json()["recovery_codes"]) == 10
    proof = {"code": created.json()["recovery_codes"][0]}
    again = await register(session, device, **proof)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


async def test_passkeys_are_listed_renamed_and_removed_by_their_owner_alone(gateway: Gateway) -> None:
    """ID13, AZ4: with ETag and If-Match; removing one needs a proof, which it can be itself."""
    session, device = await _registered(gateway)
    (listed,) = (await session.get(_PASSKEYS)).json()["data"]
    assert (listed["name"], listed["synced"], listed["last_used_at"]) == ("Laptop", False, None)
    path = f"{_PASSKEYS}/{listed['id']}"
    read = await session.get(path)
    assert read.json() == listed
    current = session.headers | {"If-Match": read.headers["etag"]}
    renamed = await gateway.client.patch(path, json={"name": "Phone"}, headers=current)
    assert (renamed.status_code, renamed.json()["name"]) == (200, "Phone")
    assert (await gateway.client.patch(path, json={"name": "Key"}, headers=current)).status_code == 412
    other = await sign_in(gateway, "viewer")
    for answer in (
        await other.get(path),
        await gateway.client.patch(path, json={"name": "Mine"}, headers=other.headers),
        await gateway.client.request("DELETE", path, json={"password": PASSWORD}, headers=other.headers),
    ):
        assert answer.json()["code"] == "not_found"
    assert (await session.get(_PASSKEYS)).json()["data"][0]["name"] == "Phone"

    options = (await session.post(f"{_PASSKEYS}/options")).json()["public_key"]
    proof = {"passkey": device.get(options)}
    assert (await gateway.client.request("DELETE", path, json=proof, headers=session.headers)).status_code == 204
    assert (await session.get(_PASSKEYS)).json()["data"] == []
    assert (
        await post(gateway, "passkeys/login", passkey=device.get(await passkey_options(gateway)))
    ).status_code == 401


async def test_pages_of_other_origins_can_be_allowed(gateways: GatewayFactory) -> None:
    """ID13: the console may be at another address than the API."""
    allowed = {"passkey_domain": "example.com", "passkey_origins": "https://app.example.com"}
    async with gateways(public_url="https://api.example.com", **allowed) as gateway:
        device = Authenticator(origin="https://app.example.com", domain="example.com")
        assert (await register(await sign_in(gateway), device)).status_code == 201
        options = await passkey_options(gateway)
        assert options["rpId"] == "example.com"
        assert (await post(gateway, "passkeys/login", passkey=device.get(options))).status_code == 200


async def test_an_app_and_a_passkey_are_used_side_by_side(gateway: Gateway) -> None:
    """ID13: the second factor has codes from the first."""
    person, device = await enrol(gateway), Authenticator()
    created = await register(person.session, device, code=person.code)
    assert created.json()["recovery_codes"] is None
    assert (await challenged(gateway))["methods"] == ["totp", "passkey", "recovery_code"]
