"""The verbs inside a TenantSession: several of them, and other work, in one transaction."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID

import pytest

from tenants.audit.origin import SYSTEM
from tenants.crud import service
from tenants.database.sessions import TenantWork
from tenants.errors import NotFound, PreconditionFailed, ValidationFailed
from tenants.identifiers import new_id
from tenants.resources.registry import load_registry
from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

_CRM = load_registry("examples.crm.resources")
_CONTACTS, _DEALS = _CRM["contacts"], _CRM["deals"]


class Deliberate(Exception):
    pass


async def test_what_a_session_does_is_committed_together_or_not_at_all(gateway: Gateway) -> None:
    """Services never commit; two verbs that depend on each other fail together."""
    alone = gateway.services.database.statements(gateway.acme.ref)
    made: list[UUID] = []
    with pytest.raises(Deliberate):
        await _make_and_fail(gateway, made)
    with pytest.raises(NotFound):
        await service.read(alone, _CONTACTS, made.pop())
    async with gateway.services.database.tenant(gateway.acme.ref) as session:
        kept = await service.create(session, _CONTACTS, {"name": "Ada"}, origin=SYSTEM)
        with pytest.raises(NotFound):
            await service.read(alone, _CONTACTS, kept.id)
        await service.create(session, _DEALS, {"title": "Engine", "contact_id": kept.id}, origin=SYSTEM)
    assert await service.read(alone, _CONTACTS, kept.id) == kept


async def _make_and_fail(gateway: Gateway, made: list[UUID]) -> None:
    async with gateway.services.database.tenant(gateway.acme.ref) as session:
        contact = await service.create(session, _CONTACTS, {"name": "Ada"}, origin=SYSTEM)
        await service.create(session, _DEALS, {"title": "Engine", "contact_id": contact.id}, origin=SYSTEM)
        made.append(contact.id)
        raise Deliberate


@asynccontextmanager
async def _alone(gateway: Gateway) -> AsyncIterator[TenantWork]:
    yield gateway.services.database.statements(gateway.acme.ref)


def _in_a_session(gateway: Gateway) -> AbstractAsyncContextManager[TenantWork]:
    return gateway.services.database.tenant(gateway.acme.ref)


@pytest.mark.parametrize("way", [_alone, _in_a_session])
async def test_every_verb_is_the_same_in_a_session_as_alone(
    gateway: Gateway, way: Callable[[Gateway], AbstractAsyncContextManager[TenantWork]]
) -> None:
    """The same rows, the same versions, the same refusals."""
    async with way(gateway) as work:
        made = await service.create(work, _CONTACTS, {"name": "Ada", "value_cents": 2**40}, origin=SYSTEM)
        assert await service.read(work, _CONTACTS, made.id) == made
        changed = await service.update(work, _CONTACTS, made.id, {"company": "x"}, (1,), origin=SYSTEM)
        assert (changed.id, changed.value_of(_CONTACTS, "company"), changed.version) == (made.id, "x", 2)
        assert await service.update(work, _CONTACTS, made.id, {}, None, origin=SYSTEM) == changed
        with pytest.raises(PreconditionFailed):
            await service.update(work, _CONTACTS, made.id, {"company": "y"}, (1,), origin=SYSTEM)
        with pytest.raises(NotFound):
            await service.update(work, _CONTACTS, new_id(), {"company": "y"}, None, origin=SYSTEM)
        with pytest.raises(PreconditionFailed):
            await service.delete(work, _CONTACTS, made.id, (1,), origin=SYSTEM)
        await service.delete(work, _CONTACTS, made.id, (2,), origin=SYSTEM)
        with pytest.raises(NotFound):
            await service.delete(work, _CONTACTS, made.id, None, origin=SYSTEM)
    async with way(gateway) as work:
        with pytest.raises(ValidationFailed):
            await service.create(work, _DEALS, {"title": "Engine", "contact_id": new_id()}, origin=SYSTEM)
