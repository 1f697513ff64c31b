"""One process that is told to stop: it says so, takes no more, and finishes what it has in hand."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager

import httpx
import psycopg
import pytest

from gateway.development.processes import LOOPBACK, Child
from gateway.development.redis import LocalRedis
from tests.fixtures.databases import DatabaseUrls, copy_database
from tests.fixtures.deployment import Deployment
from tests.fixtures.gateways import Template, settings_for

pytestmark = pytest.mark.anyio

_NOTICE = 1.5  # seconds
_SOON = 60.0
_BODY = b'{"name": "Ada Lovelace", "email": "ada@example.com", "stage": "lead"}'


@pytest.fixture
def urls(gateway_template: Template) -> Iterator[DatabaseUrls]:
    with ExitStack() as stack:
        yield copy_database(gateway_template.urls, stack)


@pytest.fixture
def served(urls: DatabaseUrls, redis_server: LocalRedis, deployment: Deployment) -> tuple[Child, str]:
    folder = deployment.folder / "usage"
    given = {"redis_url": redis_server.url, "usage_folder": folder, "stop_notice_seconds": _NOTICE}
    return deployment.gateway(settings_for(urls, **given))


async def test_what_is_in_hand_is_finished_and_nothing_more_is_taken(
    served: tuple[Child, str], urls: DatabaseUrls, gateway_template: Template
) -> None:
    """OP1: not ready first, while whoever still comes is served; a request that began before is answered after."""
    child, url = served
    key = gateway_template.acme.key("admin")
    half = len(_BODY) // 2
    async with _connection(url) as (reader, writer), _client(url) as client:
        await _until_ready(client)
        writer.write(_head(key) + _BODY[:half])
        assert (await client.get("/v1/me", headers=key)).status_code == 200
        child.ask_to_stop()
        while (late := await client.get("/readyz")).status_code == 200:
            pass
        assert (late.status_code, late.json()["code"]) == (503, "unavailable")
        assert late.headers["connection"] == "close"
        assert int(late.headers["retry-after"]) >= 1
        served_on = await client.get("/v1/me", headers=key)
        assert (served_on.status_code, served_on.headers["connection"]) == (200, "close")
        await _until_nobody_listens(client)
        writer.write(_BODY[half:])
        answer = await reader.read()  # to the end of the connection
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert b"\r\nconnection: close\r\n" in answer
    assert await asyncio.to_thread(child.wait, _SOON) == -signal.SIGTERM
    with psycopg.connect(urls.superuser) as connection:
        (counted,) = connection.execute("SELECT sum(requests)::int FROM tenantry.usage_minutes").fetchone() or (0,)
    assert counted == 3  # what was in hand, and those before and after it was told


def _head(key: dict[str, str]) -> bytes:
    fields = {"Host": "gateway.test", "Content-Type": "application/json", "Content-Length": str(len(_BODY)), **key}
    lines = ["POST /v1/contacts HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(LOOPBACK, int(url.rpartition(":")[2]))
    try:
        yield reader, writer
    finally:
        writer.close()


def _client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, base_url=url, timeout=_SOON)


async def _until_ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(_SOON):
        while (await client.get("/readyz")).status_code != httpx.codes.OK:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.05)


async def _until_nobody_listens(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(_SOON):
        while True:
            try:
                await client.get("/livez")
            except httpx.TransportError:
                return
