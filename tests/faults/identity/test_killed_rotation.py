"""A worker that is killed in the middle of a rotation leaves the old key alone, or both keys right."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import anyio
import httpx
import psycopg
import pytest

from tests.fixtures.gateways import GatewayFactory, settings_for
from tests.fixtures.workers import launch_worker, wait_ready

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
_KEYS = "/v1/api-keys"
_WAITING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = 'tenantry_gateway' AND wait_event_type = 'Lock'"
)
_HELD = "SELECT count(*) FROM pg_locks WHERE relation = 'tenantry.procrastinate_jobs'::regclass"


async def _until(connection: psycopg.AsyncConnection, query: str, count: int) -> None:
    with anyio.fail_after(20):
        while await (await connection.execute(query.encode())).fetchone() != (count,):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)


async def test_a_rotation_that_is_killed_is_whole_or_nothing(gateways: GatewayFactory, tmp_path: Path) -> None:
    """OP2: killed after the old key was given its end and before it had a successor; and killed after the answer."""
    async with gateways() as gateway:
        admin, urls = gateway.acme.key("admin"), gateway.urls
        made = await gateway.client.post(_KEYS, json={"name": "a key", "role": "viewer"}, headers=admin)
        path, old = f"{_KEYS}/{made.json()['id']}", {"X-API-Key": made.json()["secret"]}
        before = (await gateway.client.get(path, headers=admin)).json()
        with ExitStack() as stack:
            settings = settings_for(urls, usage_folder=tmp_path / "usage")
            workers = [launch_worker(settings, tmp_path / f"worker-{number}.log") for number in range(2)]
            for worker in workers:
                stack.callback(worker.child.stop)
            for worker in workers:
                wait_ready(worker)
            killed, later = (f"http://127.0.0.1:{worker.port}{path}/rotate" for worker in workers)
            async with (
                httpx.AsyncClient(headers=admin) as client,
                await psycopg.AsyncConnection.connect(urls.superuser) as holder,
                await psycopg.AsyncConnection.connect(urls.superuser, autocommit=True) as observer,
            ):
                await holder.execute("LOCK TABLE tenantry.procrastinate_jobs IN EXCLUSIVE MODE")  # its audit row waits
                rotation = asyncio.create_task(client.post(killed, json={"overlap_seconds": 60}))
                await _until(observer, _WAITING, 1)
                workers[0].child.kill()
                with pytest.raises(httpx.TransportError):
                    await rotation
                await holder.rollback()
                await _until(observer, _HELD, 0)  # its backend has noticed, and rolled back
                assert (await gateway.client.get(path, headers=admin)).json() == before
                assert (await gateway.client.get("/v1/me", headers=old)).status_code == 200
                answer = await client.post(later, json={"overlap_seconds": 60})
                workers[1].child.kill()
        assert answer.status_code == 201
        for headers in (old, {"X-API-Key": answer.json()["secret"]}):
            assert (await gateway.client.get("/v1/me", headers=headers)).status_code == 200
