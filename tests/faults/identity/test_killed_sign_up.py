"""A process that is killed in the middle of a sign-up leaves the whole of it, or nothing."""

import asyncio
import sys
from pathlib import Path

import anyio
import psycopg
import pytest

from tests.fixtures.catalog import schemas_and_roles
from tests.fixtures.gateways import GatewayFactory
from tests.fixtures.people import SignedIn, execute
from tests.fixtures.post import gateway_with_mail

pytestmark = pytest.mark.anyio
_ROOT = Path(__file__).parents[3]
_EMAIL, _PASSWORD = "ada@initech.example", "umbrella walnut 42 glacier"

# Confirms the sign-up as a worker of the gateway does.
_WORKER = """
import asyncio, sys
from gateway.features import build_features
from tenants.sign_in.client import ClientInfo
from tenants.sign_in_limits.limits import Source
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.gateways import settings_for
from tests.fixtures.post import mail_settings

async def main():
    features = build_features(settings_for(DatabaseUrls(sys.argv[1], sys.argv[1], "", ""), **mail_settings(1)))
    source = Source("192.0.2.1", "192.0.2.1")
    await features.people.sign_up.verify(sys.argv[2], sys.argv[3], source, ClientInfo(""))

asyncio.run(main())
"""
_WAITING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = 'tenantry_gateway' AND wait_event_type = 'Lock'"
)
_OTHERS = "SELECT count(*) FROM pg_locks WHERE relation = 'tenantry.sign_ups'::regclass"


async def _until(connection: psycopg.AsyncConnection, query: str, count: int) -> None:
    with anyio.fail_after(20):
        while await (await connection.execute(query.encode())).fetchone() != (count,):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)


async def test_a_worker_that_is_killed_while_it_makes_a_tenant_leaves_nothing(gateways: GatewayFactory) -> None:
    """IS8, OP2: killed after schema, role and account were made and before the owner is: the link works again."""
    async with gateway_with_mail(gateways) as post:
        urls = post.gateway.urls
        body = {"email": _EMAIL, "password": _PASSWORD, "tenant": {"slug": "initech", "name": "Initech"}}
        assert (await post.gateway.client.post("/v1/auth/signup", json=body)).status_code == 202
        token, before = await post.token(_EMAIL), schemas_and_roles(urls.superuser)
        async with (
            await psycopg.AsyncConnection.connect(urls.superuser) as holder,
            await psycopg.AsyncConnection.connect(urls.superuser, autocommit=True) as observer,
        ):
            await holder.execute("LOCK TABLE tenantry.memberships IN EXCLUSIVE MODE")  # the owner has to wait
            command = [sys.executable, "-c", _WORKER, urls.gateway, token, _PASSWORD]
            async with await anyio.open_process(command, cwd=_ROOT) as worker:
                await _until(observer, _WAITING, 1)
                worker.kill()
            await holder.rollback()
            await _until(observer, _OTHERS, 0)  # its backend has noticed, and rolled back
        assert schemas_and_roles(urls.superuser) == before
        assert execute(post.gateway, "SELECT 1 FROM tenantry.tenants WHERE slug = 'initech'") == []
        assert execute(post.gateway, "SELECT 1 FROM tenantry.users WHERE email = %s", _EMAIL) == []
        answer = await post.gateway.client.post("/v1/auth/email/verify", json={"token": token, "password": _PASSWORD})
        me = (await SignedIn.of(post.gateway, answer).get("/v1/me")).json()
        assert (me["tenant"]["slug"], me["principal"]["roles"]) == ("initech", ["owner"])
