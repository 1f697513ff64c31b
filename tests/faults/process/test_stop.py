"""Graceful shutdown: not ready first, then no new connections, and running requests finish."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager

import httpx
import psycopg
import pytest
from websockets.asyncio.client import ClientConnection, connect

from gateway.development.processes import LOOPBACK, Child
from gateway.development.redis import LocalRedis
from gateway.features import build_features
from tenants.audit.origin import COMMAND_LINE
from tests.fixtures.databases import DatabaseUrls, copy_database
from tests.fixtures.deployment import Deployment
from tests.fixtures.gateways import Template, settings_for
from tests.fixtures.live_routes import configuration_of
from tests.fixtures.websockets import websocket_server

pytestmark = pytest.mark.anyio

_NOTICE = 1.5  # seconds
_TIMEOUT = 60.0  # seconds
_BODY = b'{"name": "Ada Lovelace", "email": "ada@example.com", "stage": "lead"}'
_ROUTE = {"websocket": {}, "access": "principal"}
_COUNTED = "/v1/contacts?limit=1"  # management is not usage


@pytest.fixture
def urls(gateway_template: Template) -> Iterator[DatabaseUrls]:
    with ExitStack() as stack:
        yield copy_database(gateway_template.urls, stack)


@pytest.fixture
def server(urls: DatabaseUrls, redis_server: LocalRedis, deployment: Deployment) -> tuple[Child, str]:
    folder = deployment.folder / "usage"
    values = {"redis_url": redis_server.url, "usage_folder": folder, "stop_notice_seconds": _NOTICE}
    return deployment.gateway(settings_for(urls, **values))


async def test_running_requests_finish_and_no_connection_is_accepted(
    server: tuple[Child, str], urls: DatabaseUrls, gateway_template: Template
) -> None:
    """OP1: requests are served during the notice; a running one completes after the listener has closed.

    A WebSocket is told with 1012, when all that is left are such requests; before, one ends with its key (ID5).
    """
    child, url = server
    key = gateway_template.acme.key("admin")
    half = len(_BODY) // 2
    async with _connection(url) as (reader, writer), _client(url) as client, _websocket(urls, url, key) as websocket:
        await _until_ready(client)
        await _assert_ends_with_its_key(client, url, key, gateway_template.acme.key("viewer"))
        writer.write(_head(key) + _BODY[:half])
        assert (await client.get(_COUNTED, headers=key)).status_code == 200
        child.ask_to_stop()
        while (not_ready := await client.get("/readyz")).status_code == 200:
            pass
        assert (not_ready.status_code, not_ready.json()["code"]) == (503, "unavailable")
        assert not_ready.headers["connection"] == "close"
        assert int(not_ready.headers["retry-after"]) >= 1
        during_notice = await client.get(_COUNTED, headers=key)
        assert (during_notice.status_code, during_notice.headers["connection"]) == (200, "close")
        await _until_listener_closed(client)
        await websocket.wait_closed()
        assert websocket.close_code == 1012
        writer.write(_BODY[half:])
        response = await reader.read()  # to the end of the connection
    assert response.startswith(b"HTTP/1.1 201 ")
    assert b"\r\nconnection: close\r\n" in response
    assert await asyncio.to_thread(child.wait, _TIMEOUT) == -signal.SIGTERM
    with psycopg.connect(urls.superuser) as connection:
        (counted,) = connection.execute("SELECT sum(requests)::int FROM tenantry.usage_minutes").fetchone() or (0,)
    assert counted == 5  # the running request, those before and during the notice, and two WebSockets


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


@asynccontextmanager
async def _websocket(urls: DatabaseUrls, url: str, key: dict[str, str]) -> AsyncIterator[ClientConnection]:
    """Through a route that is in force by then."""
    features = build_features(settings_for(urls))
    with websocket_server() as upstream:
        async with features.database.control() as session:
            await features.routes.apply(session, configuration_of(upstream, _ROUTE), origin=COMMAND_LINE)
        await features.close()
        async with _client(url) as client:
            await _until_ready(client)
            while (await client.get("/echo")).status_code == httpx.codes.NOT_FOUND:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        async with _connect(url, key) as connection:
            yield connection


def _connect(url: str, key: dict[str, str]) -> connect:
    return connect(f"ws://{url.removeprefix('http://')}/echo", additional_headers=key, proxy=None)


async def _assert_ends_with_its_key(
    client: httpx.AsyncClient, url: str, admin: dict[str, str], key: dict[str, str]
) -> None:
    async with _connect(url, key) as connection:
        key_id = (await client.get("/v1/me", headers=key)).json()["principal"]["id"]
        assert (await client.post(f"/v1/api-keys/{key_id}/revoke", headers=admin)).status_code == 204
        async with asyncio.timeout(2):
            await connection.wait_closed()
        assert connection.close_code == 1008


def _client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, base_url=url, timeout=_TIMEOUT)


async def _until_ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(_TIMEOUT):
        while (await client.get("/readyz")).status_code != httpx.codes.OK:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


async def _until_listener_closed(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(_TIMEOUT):
        while True:
            try:
                await client.get("/livez")
            except httpx.TransportError:
                return
