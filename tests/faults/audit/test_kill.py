"""A gateway that is killed in the middle of a change leaves the change and its row, or neither (AU1, OP2)."""

import asyncio

import httpx
import psycopg
import pytest
from psycopg import sql

from tests.fixtures.billing import eventually_so
from tests.fixtures.deployment import Deployment
from tests.fixtures.events import events_of
from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

_ROLES = "SELECT roles FROM tenantry.memberships JOIN tenantry.users ON users.id = user_id WHERE email = %s"


def _roles(gateway: Gateway) -> list[str]:
    with psycopg.connect(gateway.urls.superuser) as superuser:
        row = superuser.execute(_ROLES, (gateway.acme.emails["viewer"],)).fetchone()
    return [] if row is None else list(row[0])


async def _blocked(gateway: Gateway) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with await psycopg.AsyncConnection.connect(gateway.urls.superuser) as superuser:
        row = await (await superuser.execute(query)).fetchone()
    return bool(row and row[0])


async def test_a_role_change_that_is_killed_before_its_row_is_not_made(
    gateway: Gateway, deployment: Deployment
) -> None:
    """Kill -9 after the membership was updated, while its row waits for a lock; then the same request succeeds."""
    settings, owner = gateway.services.settings, gateway.acme.key("owner")
    members = (await gateway.client.get("/v1/members", headers=owner)).json()["data"]
    path = f"/v1/members/{next(each['id'] for each in members if each['roles'] == ['viewer'])}"
    body = {"roles": ["member"]}
    victim, url = await asyncio.to_thread(deployment.gateway, settings)
    log = sql.Identifier(gateway.acme.ref.schema, "tenantry_events")
    async with httpx.AsyncClient(timeout=30) as client:
        async with await psycopg.AsyncConnection.connect(gateway.urls.superuser) as holder:
            await holder.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(log))
            request = asyncio.create_task(client.patch(f"{url}{path}", json=body, headers=owner))
            await eventually_so(lambda: _blocked(gateway), 20.0)
            victim.kill()
            with pytest.raises(httpx.TransportError):
                await request
        assert (_roles(gateway), events_of(gateway.urls, gateway.acme.ref)) == (["viewer"], [])
        _, url = await asyncio.to_thread(deployment.gateway, settings)
        assert (await client.patch(f"{url}{path}", json=body, headers=owner)).status_code == 200
    assert _roles(gateway) == ["member"]
    assert [event["type"] for event in events_of(gateway.urls, gateway.acme.ref)] == ["members.updated"]
