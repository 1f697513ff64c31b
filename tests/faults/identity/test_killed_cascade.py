"""A worker that is killed while it revokes a key with all that it made leaves all of it or none (ID16, OP2)."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.fixtures.gateways import GatewayFactory
from tests.fixtures.workers import launch_worker, wait_ready

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


async def _revoke(client: httpx.AsyncClient, key: str, headers: dict[str, str]) -> int:
    """Revoke the key with all that it made; the status of the response, 0 without one."""
    try:
        answer = await client.post(f"/v1/api-keys/{key}/revoke?descendants=true", headers=headers)
    except httpx.TransportError:
        return 0
    return answer.status_code


async def test_a_killed_cascade_is_undone_and_done_by_the_next(gateways: GatewayFactory, tmp_path: Path) -> None:
    """OP2, ID16: kill -9 when two of three batches are written; nothing is revoked; again, everything is."""
    async with gateways() as gateway:
        headers = gateway.acme.key("owner")
        listed = await gateway.client.get("/v1/api-keys", params={"name": "the admin key"}, headers=headers)
        key, settings = listed.json()["data"][0]["id"], gateway.services.settings
        worker = launch_worker(
            settings.model_copy(update={"usage_folder": tmp_path / "usage"}), tmp_path / "worker.log"
        )
        with ExitStack() as stack:
            stack.callback(worker.child.stop)
            wait_ready(worker)
            holder = stack.enter_context(psycopg.connect(gateway.urls.superuser))
            watcher = stack.enter_context(psycopg.connect(gateway.urls.superuser, autocommit=True))
            watcher.execute(_INSERT, (_MADE, gateway.acme.ref.id))
            holder.execute(_LAST)
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{worker.port}", timeout=20) as client:
                revoking = asyncio.create_task(_revoke(client, key, headers))
                async with asyncio.timeout(15):  # the last batch waits for the row
                    while watcher.execute(_WAITS).fetchall() == [(0,)]:  # noqa: ASYNC110 - no event
                        await asyncio.sleep(0.01)
                worker.child.kill()
                assert await revoking == 0
            holder.rollback()
            assert watcher.execute(_ALIVE).fetchall() == [(_MADE,)]
            assert await _revoke(gateway.client, key, headers) == 204
            assert watcher.execute(_ALIVE).fetchall() == [(0,)]
