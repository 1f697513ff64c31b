"""Users, below HTTP."""

import asyncio

import pytest

from tenants.errors import NotFound, ValidationFailed
from tenants.identifiers import UserId, new_id
from tests.fixtures.gateways import PASSWORD, Gateway
from tests.fixtures.people import SignedIn, sign_in

pytestmark = pytest.mark.anyio


async def _log_in(gateway: Gateway, password: str) -> int:
    body = {"email": gateway.acme.emails["member"], "password": password, "tenant": "acme"}
    return (await gateway.client.post("/v1/auth/login", json=body)).status_code


async def test_a_user_created_twice_is_one(gateway: Gateway) -> None:
    """An email address is one user, whatever its case."""
    users = gateway.services.features.people.users
    async with gateway.services.database.control() as session:
        first = await users.ensure(session, "Somebody@example.test")
        second = await users.ensure(session, "somebody@EXAMPLE.test")
    assert first.id == second.id
    assert (first.email, first.password_hash) == ("Somebody@example.test", None)


async def test_a_new_password_replaces_the_old_one(gateway: Gateway) -> None:
    """ID9: checked and hashed before a transaction begins."""
    users, email = gateway.services.features.people.users, gateway.acme.emails["member"]
    new = "umbrella walnut 42 glacier"
    with pytest.raises(ValidationFailed):
        await users.hash_password("short", email)
    password_hash = await users.hash_password(new, email)
    async with gateway.services.database.control() as session:
        member = await users.ensure(session, email)
        await users.set_password(session, member.id, password_hash)
    assert (await _log_in(gateway, PASSWORD), await _log_in(gateway, new)) == (401, 200)


async def test_a_disabled_user_has_no_access_until_enabled_again(gateway: Gateway) -> None:
    """ID4, ID15: idempotent; enabling revives no session, of access token or refresh token."""
    users = gateway.services.features.people.users
    earlier = await sign_in(gateway)
    for _ in range(2):
        async with gateway.services.database.control() as session:
            member = await users.ensure(session, gateway.acme.emails["member"])
            await users.disable(session, member.id)
    assert await _log_in(gateway, PASSWORD) == 401
    async with gateway.services.database.control() as session:
        await users.enable(session, member.id)
    assert await earlier.is_over()
    assert await _log_in(gateway, PASSWORD) == 200


async def test_a_sign_in_that_races_with_disabling_ends_with_it(gateway: Gateway) -> None:
    """ID15: disabling waits for a session that is being opened, and ends it; enabling does not revive it."""
    features, database = gateway.services.features, gateway.services.database

    async def disable(user: UserId) -> None:
        async with database.control() as session:
            await features.people.users.disable(session, user)

    async with database.control() as session:
        member = await features.people.users.ensure(session, gateway.acme.emails["member"])
        grant = await features.people.sign_in.open_session(
            session, member.id, gateway.acme.ref.id, methods=["pwd"], client=None
        )
        disabling = asyncio.create_task(disable(member.id))
        assert await asyncio.wait({disabling}, timeout=0.2) == (set(), {disabling})
    await disabling
    async with database.control() as session:
        await features.people.users.enable(session, member.id)
    assert await SignedIn(gateway, grant.access_token, grant.refresh_token).is_over()


async def test_an_unknown_user_is_not_found(gateway: Gateway) -> None:
    """An unknown user cannot be changed."""
    users, nobody = gateway.services.features.people.users, UserId(new_id())
    async with gateway.services.database.control() as session:
        for change in (users.disable(session, nobody), users.enable(session, nobody)):
            with pytest.raises(NotFound):
                await change
