"""A worker that is killed while it revokes a key with all that it made leaves all of it or none (ID16, OP2)."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest

from gateway.development.redis import LocalRedis
from tests.fixtures.databases import copy_database
from tests.fixtures.gateways import Template, settings_for
from tests.fixtures.workers import Worker, launch_worker, wait_ready

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

_MADE = 300  # three batches of the cascade
_ALIVE = "SELECT count(*) FROM tenantry.api_keys WHERE name = 'one of many' AND revoked_at IS NULL"
_INSERT = (
    "INSERT INTO tenantry.api_keys (id, tenant_id, name, role, prefix, last4, digest, pepper_version, owned_by,"
    " owner_key_id, created_by_key_id) SELECT gen_random_uuid(), tenant_id, 'one of many', 'viewer', 'tn_live_0',"
    " '0000', sha256(number::text::bytea), 1, 'key', id, id FROM tenantry.api_keys,"
    " generate_series(1, %s::int) AS number WHERE name = 'the admin key' AND tenant_id = %s"
)
_LAST = "SELECT 1 FROM tenantry.api_keys WHERE name = 'one of many' ORDER BY id DESC LIMIT 1 FOR UPDATE"
_WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


async def _revoke(worker: Worker, template: Template) -> int:
    """Revoke the admin's key with all that it made; the status of the response, 0 without one."""
    base, headers = f"http://127.0.0.1:{worker.port}/v1/api-keys", template.acme.key("owner")
    async with httpx.AsyncClient(timeout=20, headers=headers) as client:
        listed = (await client.get(base, params={"name": "the admin key"})).json()["data"]
        try:
            answer = await client.post(f"{base}/{listed[0]['id']}/revoke?descendants=true")
        except httpx.TransportError:
            return 0
    return answer.status_code


async def test_a_killed_cascade_is_undone_and_done_by_the_next(
    gateway_template: Template, redis_server: LocalRedis, tmp_path: Path
) -> None:
    """OP2, ID16: kill -9 when two of three batches are written; nothing is revoked; again, everything is."""
    with ExitStack() as stack:
        urls = copy_database(gateway_template.urls, stack)
        workers = []
        for name in ("first", "second"):
            settings = settings_for(urls, redis_url=redis_server.url, usage_folder=tmp_path / name)
            workers.append(launch_worker(settings, tmp_path / f"{name}.log"))
            stack.callback(workers[-1].child.stop)
        for each in workers:
            wait_ready(each)
        holder = stack.enter_context(psycopg.connect(urls.superuser))
        watcher = stack.enter_context(psycopg.connect(urls.superuser, autocommit=True))
        watcher.execute(_INSERT, (_MADE, gateway_template.acme.ref.id))
        holder.execute(_LAST)
        revoking = asyncio.create_task(_revoke(workers[0], gateway_template))
        async with asyncio.timeout(15):  # the last batch waits for the row
            while watcher.execute(_WAITS).fetchall() == [(0,)]:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)
        workers[0].child.kill()
        assert await revoking == 0
        holder.rollback()
        assert watcher.execute(_ALIVE).fetchall() == [(_MADE,)]
        assert await _revoke(workers[1], gateway_template) == 204
        assert watcher.execute(_ALIVE).fetchall() == [(0,)]
