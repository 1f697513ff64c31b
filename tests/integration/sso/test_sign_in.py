"""Sign-in at a real OpenID Connect provider, over HTTP from start to tokens."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.fixtures.oidc import RealProvider
from tests.fixtures.people import SignedIn, execute
from tests.fixtures.single_sign_on import SingleSignOn, query_of_url

pytestmark = pytest.mark.anyio


def _person(provider: RealProvider, email: str = "", **claims: Any) -> str:
    """A new subject of the provider, with an address of their own unless one is given."""
    subject = f"sub-{uuid4().hex}"
    provider.add_person(subject, **{"email": email or f"{subject}@acme.example", "email_verified": True, **claims})
    return subject


async def _session(sso: SingleSignOn, provider: RealProvider, subject: str) -> SignedIn:
    return SignedIn.of(sso.gateway, await sso.sign_in(provider, subject))


async def _roles(signed_in: SignedIn) -> list[str]:
    await signed_in.gateway.catch_up()
    answer = await signed_in.get("/v1/me")
    assert answer.status_code == 200, answer.text
    roles: list[str] = answer.json()["principal"]["roles"]
    return sorted(roles)


async def test_a_new_person_becomes_a_member_with_the_default_role(
    sso: SingleSignOn, oidc_provider: RealProvider
) -> None:
    """ID6: for every algorithm; the claims come from the UserInfo endpoint, and the session's method is ``fed``."""
    for algorithm in ("RS256", "PS256", "ES256", "Ed25519"):
        await sso.connect(oidc_provider, client_id=oidc_provider.client_id(algorithm))
        subject = _person(oidc_provider, name="Ada Lovelace")
        session = await _session(sso, oidc_provider, subject)
        assert await _roles(session) == ["viewer"], algorithm
        ((name, password, methods),) = execute(
            sso.gateway,
            "SELECT name, password_hash, methods FROM tenantry.users JOIN tenantry.sign_ins ON user_id = users.id"
            " WHERE email = %s",
            f"{subject}@acme.example",
        )
        assert (name, password, methods) == ("Ada Lovelace", None, ["fed"])
        assert (await session.refreshed()).status_code == 200


async def test_the_browser_returns_with_a_code_and_no_token(sso: SingleSignOn, oidc_provider: RealProvider) -> None:
    """The code is worth nothing without the verifier, and is used once."""
    await sso.connect(oidc_provider)
    started = await sso.start(return_to="http://gateway.test/signed-in?next=%2Fdeals")
    answer = await sso.callback(oidc_provider.signed_in(started.url, _person(oidc_provider)))
    assert answer.status_code == 303
    assert answer.headers["cache-control"] == "no-store"
    location = answer.headers["location"]
    assert location.startswith("http://gateway.test/signed-in?next=%2Fdeals&code=tn_sso_")
    code = query_of_url(location)["code"]
    first = await sso.redeem(code, started.verifier, **{"User-Agent": "a browser"})
    assert set(first.json()) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert execute(sso.gateway, "SELECT user_agent FROM tenantry.sign_ins") == [("a browser",)]
    assert (await sso.redeem(code, started.verifier)).json()["code"] == "credential_invalid"


async def test_a_member_is_linked_by_address_once_and_by_subject_from_then_on(
    sso: SingleSignOn, oidc_provider: RealProvider
) -> None:
    """Roles that were given by hand stay; another subject with the address does not get the account."""
    await sso.connect(oidc_provider)
    subject = _person(oidc_provider, "MEMBER@acme.example")
    assert await _roles(await _session(sso, oidc_provider, subject)) == ["member"]
    oidc_provider.add_person(subject, email="renamed@acme.example", email_verified=True)
    session = await _session(sso, oidc_provider, subject)
    assert await _roles(session) == ["member"]
    ((user,),) = execute(sso.gateway, "SELECT id FROM tenantry.users WHERE email = 'member@acme.example'")
    assert {each for (each,) in execute(sso.gateway, "SELECT user_id FROM tenantry.sign_ins")} == {user}
    reassigned = await sso.sign_in(oidc_provider, _person(oidc_provider, "member@acme.example"))
    assert (reassigned.status_code, reassigned.json()["code"]) == (401, "credential_invalid")


async def test_groups_become_roles_at_each_sign_in(sso: SingleSignOn, oidc_provider: RealProvider) -> None:
    """ID11: a change ends the older sessions; what was not given by single sign-on is not taken by it."""
    await sso.connect(oidc_provider, groups_claim="groups", group_roles={"eng": "member", "ops": "admin"})
    subject = _person(oidc_provider, groups=["eng", "unknown"])
    first = await _session(sso, oidc_provider, subject)
    assert await _roles(first) == ["member", "viewer"]
    email = f"{subject}@acme.example"
    same = await _session(sso, oidc_provider, subject)
    assert not await first.is_over()
    oidc_provider.add_person(subject, email=email, email_verified=True, groups=["ops"])
    second = await _session(sso, oidc_provider, subject)
    assert await _roles(second) == ["admin", "viewer"]
    assert await same.is_over()
    oidc_provider.add_person(subject, email=email, email_verified=True)
    assert await _roles(await _session(sso, oidc_provider, subject)) == ["viewer"]


async def test_an_owner_stays_owner_whatever_the_groups(sso: SingleSignOn, oidc_provider: RealProvider) -> None:
    """AZ6: single sign-on takes away what it has given, and it cannot give owners."""
    await sso.connect(oidc_provider, groups_claim="groups", group_roles={"eng": "member"})
    subject = _person(oidc_provider, "owner@acme.example", groups=["eng"])
    assert await _roles(await _session(sso, oidc_provider, subject)) == ["member", "owner"]
    oidc_provider.add_person(subject, email="owner@acme.example", email_verified=True)
    assert await _roles(await _session(sso, oidc_provider, subject)) == ["owner"]


async def test_a_role_that_reaches_owners_later_is_not_given(sso: SingleSignOn, oidc_provider: RealProvider) -> None:
    """AZ5: the mapping was checked when it was made, and is checked when it is used."""
    client, owner = sso.gateway.client, sso.acme.key("owner")
    role = await client.post("/v1/roles", json={"name": "lead", "permissions": ["usage:read"]}, headers=owner)
    await sso.connect(oidc_provider, default_role="viewer", groups_claim="groups", group_roles={"eng": "lead"})
    assert (await client.delete(f"/v1/roles/{role.json()['id']}", headers=owner)).status_code == 409, "it is in use"
    raised = {"permissions": ["owners:manage"]}
    assert (await client.patch(f"/v1/roles/{role.json()['id']}", json=raised, headers=owner)).status_code == 200
    subject = _person(oidc_provider, groups=["eng"])
    assert await _roles(await _session(sso, oidc_provider, subject)) == ["viewer"]


async def test_a_removed_or_disabled_person_is_not_let_in_again(sso: SingleSignOn, oidc_provider: RealProvider) -> None:
    """ID15: the provider still vouches for them."""
    await sso.connect(oidc_provider)
    subject = _person(oidc_provider)
    session = await _session(sso, oidc_provider, subject)
    ((user,),) = execute(sso.gateway, "SELECT user_id FROM tenantry.sign_ins")
    for disabled in ("users SET disabled_at = %s WHERE id = %s", "memberships SET disabled_at = %s WHERE user_id = %s"):
        execute(sso.gateway, f"UPDATE tenantry.{disabled}", datetime.now(UTC), user)
        assert (await sso.sign_in(oidc_provider, subject)).json()["code"] == "credential_invalid"
        execute(sso.gateway, f"UPDATE tenantry.{disabled}", None, user)
    execute(sso.gateway, "DELETE FROM tenantry.memberships WHERE user_id = %s", user)
    before = sso.traces()
    assert (await sso.sign_in(oidc_provider, subject)).json()["code"] == "credential_invalid"
    assert sso.traces() == before
    assert (await session.get("/v1/me")).status_code == 401


async def test_who_is_removed_between_callback_and_exchange_gets_no_session(
    sso: SingleSignOn, oidc_provider: RealProvider
) -> None:
    """ID15: the code proves who they are, and no more that they are a member."""
    await sso.connect(oidc_provider)
    started = await sso.start()
    answer = await sso.callback(oidc_provider.signed_in(started.url, _person(oidc_provider)))
    execute(
        sso.gateway, "DELETE FROM tenantry.memberships WHERE user_id IN (SELECT user_id FROM tenantry.sso_identities)"
    )
    assert (await sso.redeem(answer.json()["code"], started.verifier)).json()["code"] == "credential_invalid"
    assert execute(sso.gateway, "SELECT count(*) FROM tenantry.sign_ins") == [(0,)]


_NOT_LET_IN: list[dict[str, Any]] = [
    {"email": "eve@globex.example"},
    {"email": "eve@sub.acme.example"},
    {"email": "eve@acme.example", "email_verified": False},
    {"email": "no address"},
]


async def test_only_verified_addresses_in_proven_domains_are_let_in(
    sso: SingleSignOn, oidc_provider: RealProvider
) -> None:
    """A provider speaks for its tenant's own people only; a subdomain is another domain."""
    await sso.connect(oidc_provider)
    before = sso.traces()
    for claims in _NOT_LET_IN:
        answer = await sso.sign_in(oidc_provider, _person(oidc_provider, **claims))
        assert (answer.status_code, answer.json()["code"]) == (401, "credential_invalid"), claims
        assert claims["email"] not in answer.text
    assert sso.traces() == before


async def test_a_session_of_one_tenants_provider_is_of_no_use_in_another(
    sso: SingleSignOn, oidc_provider: RealProvider
) -> None:
    """IS7: the person is a member of both tenants, and acme's provider must not open globex."""
    await sso.connect(oidc_provider)
    execute(
        sso.gateway,
        "INSERT INTO tenantry.memberships (tenant_id, user_id, roles) SELECT tenants.id, users.id, '{admin}'"
        " FROM tenantry.tenants, tenantry.users WHERE slug = 'globex' AND email = 'member@acme.example'",
    )
    session = await _session(sso, oidc_provider, _person(oidc_provider, "member@acme.example"))
    assert (await session.get("/v1/me")).json()["tenant"]["slug"] == "acme"
    answer = await session.post("/v1/auth/switch", tenant="globex")
    assert answer.status_code in {403, 404}, answer.text


async def test_a_suspended_tenant_says_so_to_its_people_only(sso: SingleSignOn, oidc_provider: RealProvider) -> None:
    """ID10: after the provider has vouched for the person; no membership is made."""
    await sso.connect(oidc_provider)
    execute(sso.gateway, "UPDATE tenantry.tenants SET status = 'suspended' WHERE slug = 'acme'")
    before = sso.traces()
    answer: httpx.Response = await sso.sign_in(oidc_provider, _person(oidc_provider))
    assert (answer.status_code, answer.json()["code"]) == (403, "tenant_suspended")
    assert sso.traces() == before


async def test_nobody_joins_by_single_sign_on_beyond_what_the_plan_includes(
    sso: SingleSignOn, oidc_provider: RealProvider
) -> None:
    """One beyond the bound: no member, and no identity that a later sign-in would find."""
    await sso.connect(oidc_provider)
    execute(sso.gateway, "UPDATE tenantry.plans SET features = features || jsonb_build_object('members', 1)")
    started = await sso.start()
    refused = await sso.callback(oidc_provider.signed_in(started.url, _person(oidc_provider)))
    assert (refused.status_code, refused.json()["code"]) == (403, "entitlement_required")
    assert execute(sso.gateway, "SELECT count(*) FROM tenantry.sso_identities") == [(0,)]
