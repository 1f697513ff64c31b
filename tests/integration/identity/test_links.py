"""One-time links: what they are bound to, how they end, and that each is used once (ID12)."""

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tenants.identifiers import TenantId, UserId
from tenants.links.errors import LinkInvalid
from tenants.links.repository import Link
from tenants.links.service import LONGEST_LIFE, LinkPurpose, Links, forget_old_links
from tenants.secrets.tokens import SecretKind, generate
from tests.fixtures.gateways import BASE_URL, Gateway, GatewayFactory
from tests.fixtures.unconnected import unconnected_services

pytestmark = pytest.mark.anyio

_ADA = "ada@example.com"
_INVITATION, _RESET = LinkPurpose.INVITATION, LinkPurpose.PASSWORD_RESET
_TAKES = 50


class _RolledBack(Exception):
    pass


def _links(gateway: Gateway) -> Links:
    return gateway.services.features.people.links


async def _issue(gateway: Gateway, purpose: LinkPurpose = _RESET, email: str = _ADA, **bound: Any) -> str:
    async with gateway.services.database.control() as session:
        return await _links(gateway).issue(session, purpose, email=email, **bound)


async def _take(gateway: Gateway, secret: str, purpose: LinkPurpose = _RESET, *, even_expired: bool = False) -> Link:
    async with gateway.services.database.control() as session:
        return await _links(gateway).take(session, purpose, secret, even_expired=even_expired)


async def _take_and_roll_back(gateway: Gateway, secret: str) -> None:
    async with gateway.services.database.control() as session:
        await _links(gateway).take(session, _RESET, secret)
        raise _RolledBack


async def _is_valid(gateway: Gateway, secret: str, purpose: LinkPurpose = _RESET) -> bool:
    async with gateway.services.database.control() as session:
        try:
            await _links(gateway).check(session, purpose, secret)
        except LinkInvalid:
            return False
        return True


def _execute(gateway: Gateway, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(gateway.urls.owner, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


async def test_a_link_is_taken_once_and_returns_what_it_is_bound_to(gateway: Gateway) -> None:
    """ID12, ID2: purpose, address, person and tenant; the row of a used one is gone, and no row has the secret."""
    [(user,)] = _execute(gateway, "SELECT id FROM tenantry.users WHERE email = 'member@acme.example'")
    bound: dict[str, Any] = {"user_id": UserId(user), "tenant_id": gateway.acme.ref.id}
    secret = await _issue(gateway, email="Member@acme.example", **bound)
    assert secret.startswith("tn_link_")
    [(stored,)] = _execute(gateway, "SELECT one_time_links::text FROM tenantry.one_time_links")
    assert secret[len("tn_link_") : -6] not in stored
    assert _links(gateway).url(_RESET, secret) == f"{BASE_URL}/console/password-reset#token={secret}"
    assert await _is_valid(gateway, secret)
    link = await _take(gateway, secret)
    assert (link.purpose, link.email) == ("password_reset", "Member@acme.example")
    assert (link.user_id, link.tenant_id) == (user, gateway.acme.ref.id)
    with pytest.raises(LinkInvalid):
        await _take(gateway, secret)
    assert _execute(gateway, "SELECT 1 FROM tenantry.one_time_links") == []


async def test_every_link_that_cannot_be_used_is_refused_with_one_error(gateway: Gateway) -> None:
    """ID12: expired, replaced, of another purpose, guessed, and of a person whose address has changed since."""
    [(user,)] = _execute(gateway, "SELECT id FROM tenantry.users WHERE email = 'member@acme.example'")
    replaced = await _issue(gateway)
    current = await _issue(gateway, email=_ADA.upper())
    moved = await _issue(gateway, email="member@acme.example", user_id=UserId(user))
    _execute(gateway, "UPDATE tenantry.users SET email = 'other@acme.example' WHERE id = %s", user)
    expired = await _issue(gateway, email="bob@example.com")
    ended = "UPDATE tenantry.one_time_links SET expires_at = now() WHERE email = 'bob@example.com'"
    _execute(gateway, ended)
    foreign = await _issue(gateway, _INVITATION)
    for secret in (replaced, moved, expired, foreign, generate(SecretKind.LINK), generate(SecretKind.REFRESH)):
        with pytest.raises(LinkInvalid):
            await _take(gateway, secret)
        assert not await _is_valid(gateway, secret)
    assert (LinkInvalid.code, LinkInvalid.kind.value) == ("credential_invalid", "unauthenticated")
    assert (await _take(gateway, current)).email == _ADA.upper()
    assert (await _take(gateway, expired, even_expired=True)).email == "bob@example.com"


async def test_a_wrong_checksum_costs_no_look_up() -> None:
    """ID1: refused without a connection; a well-formed one would need the database."""
    services, good = unconnected_services(), generate(SecretKind.LINK)
    bad = good[:-1] + ("0" if good[-1] != "0" else "1")
    async with services.database.control() as session:
        for secret in (bad, "", "tn_link_", good + "\n", "tn_link_\u00e4"):
            with pytest.raises(LinkInvalid):
                await services.features.people.links.take(session, _RESET, secret)
    await services.features.close()


async def test_of_concurrent_takes_exactly_one_succeeds(gateways: GatewayFactory) -> None:
    """ID12: 50 at once on two workers; one that is rolled back has used nothing."""
    async with gateways() as first, gateways() as second:
        secret = await _issue(first)
        with pytest.raises(_RolledBack):
            await _take_and_roll_back(first, secret)
        attempts = (_take((first, second)[number % 2], secret) for number in range(_TAKES))
        outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(each, Link) for each in outcomes) == 1
    assert {type(each) for each in outcomes} == {Link, LinkInvalid}


async def test_a_link_replaces_only_the_one_of_its_purpose_address_and_tenant(gateway: Gateway) -> None:
    """ID12: what one tenant sends ends no link of another one; concurrent issues leave one valid link."""
    bound: tuple[TenantId | None, ...] = (gateway.acme.ref.id, gateway.globex.ref.id, None)
    secrets = [await _issue(gateway, _INVITATION, tenant_id=each) for each in bound]
    other = await _issue(gateway)
    assert [await _is_valid(gateway, each, _INVITATION) for each in secrets] == [True] * 3
    issued = await asyncio.gather(*(_issue(gateway) for _ in range(8)))
    assert [await _is_valid(gateway, each) for each in (other, *issued)].count(True) == 1
    async with gateway.services.database.control() as session:
        await _links(gateway).end(session, _INVITATION, email=_ADA.upper(), tenant_id=gateway.acme.ref.id)
    assert [await _is_valid(gateway, each, _INVITATION) for each in secrets] == [False, True, True]


async def test_a_link_lives_at_most_an_hour(gateway: Gateway) -> None:
    """ID12: also where a caller asks for more."""
    for life in (LONGEST_LIFE + timedelta(seconds=1), timedelta(0)):
        with pytest.raises(ValueError, match="at most an hour"):
            await _issue(gateway, life=life)
    await _issue(gateway)
    left = "SELECT extract(epoch FROM expires_at - now()) BETWEEN 3590 AND 3600 FROM tenantry.one_time_links"
    assert _execute(gateway, left) == [(True,)]


async def test_links_that_expired_long_ago_are_deleted(gateway: Gateway) -> None:
    """ID12: those of the last month are kept, so that they can be exchanged for new ones."""
    for email, age in ((_ADA, "29 days"), ("bob@example.com", "31 days")):
        await _issue(gateway, email=email)
        moved = "UPDATE tenantry.one_time_links SET expires_at = now() - %s::interval WHERE email = %s"
        _execute(gateway, moved, age, email)
    await forget_old_links(gateway.services.database)
    assert _execute(gateway, "SELECT email FROM tenantry.one_time_links") == [(_ADA,)]
