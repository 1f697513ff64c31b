"""The verbs inside a TenantSession: several of them, and whatever else belongs to them, in one transaction."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID

import pytest

from tenants.crud import service
from tenants.database.statements import Work
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
    """STYLE 5: services never commit; two verbs that depend on each other fail together."""
    alone = gateway.services.database.statements(gateway.acme.ref)
    made: list[UUID] = []
    with pytest.raises(Deliberate):
        await _make_and_fail(gateway, made)
    with pytest.raises(NotFound):
        await service.read(alone, _CONTACTS, made.pop())
    async with gateway.services.database.tenant(gateway.acme.ref) as session:
        kept = await service.create(session, _CONTACTS, {"name": "Ada"})
        with pytest.raises(NotFound):
            await service.read(alone, _CONTACTS, kept[0])
        await service.create(session, _DEALS, {"title": "Engine", "contact_id": kept[0]})
    assert await service.read(alone, _CONTACTS, kept[0]) == kept


async def _make_and_fail(gateway: Gateway, made: list[UUID]) -> None:
    async with gateway.services.database.tenant(gateway.acme.ref) as session:
        contact = await service.create(session, _CONTACTS, {"name": "Ada"})
        await service.create(session, _DEALS, {"title": "Engine", "contact_id": contact[0]})
        made.append(contact[0])
        raise Deliberate


@asynccontextmanager
async def _alone(gateway: Gateway) -> AsyncIterator[Work]:
    yield gateway.services.database.statements(gateway.acme.ref)


def _in_a_session(gateway: Gateway) -> AbstractAsyncContextManager[Work]:
    return gateway.services.database.tenant(gateway.acme.ref)


@pytest.mark.parametrize("way", [_alone, _in_a_session])
async def test_every_verb_is_the_same_in_a_session_as_alone(
    gateway: Gateway, way: Callable[[Gateway], AbstractAsyncContextManager[Work]]
) -> None:
    """The same rows, the same versions, the same refusals."""
    async with way(gateway) as work:
        made = await service.create(work, _CONTACTS, {"name": "Ada", "value_cents": 2**40})
        assert await service.read(work, _CONTACTS, made[0]) == made
        changed = await service.update(work, _CONTACTS, made[0], {"company": "x"}, (1,))
        assert (changed[0], changed[3], changed[-1]) == (made[0], "x", 2)
        assert await service.update(work, _CONTACTS, made[0], {}, None) == changed
        with pytest.raises(PreconditionFailed):
            await service.update(work, _CONTACTS, made[0], {"company": "y"}, (1,))
        with pytest.raises(NotFound):
            await service.update(work, _CONTACTS, new_id(), {"company": "y"}, None)
        with pytest.raises(PreconditionFailed):
            await service.delete(work, _CONTACTS, made[0], (1,))
        await service.delete(work, _CONTACTS, made[0], (2,))
        with pytest.raises(NotFound):
            await service.delete(work, _CONTACTS, made[0], None)
    async with way(gateway) as work:
        with pytest.raises(ValidationFailed):
            await service.create(work, _DEALS, {"title": "Engine", "contact_id": new_id()})
