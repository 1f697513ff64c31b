"""Concurrency permits of requests over real sockets: a worker is killed, clients disconnect."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import monotonic

import psycopg
import pytest
import redis

from gateway.development.redis import LocalRedis
from gateway.throttle.concurrency import PERMIT_TTL
from tests.fixtures.databases import copy_database
from tests.fixtures.gateways import Template, settings_for
from tests.fixtures.workers import Worker, launch_worker, wait_ready
from tests.raw_http import RawClient, RawResponse, connected

_LIMIT = 4
_SOON = 5.0  # seconds: half of the body timeout
_RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: closing sends RST instead of FIN


class Tenant:
    """A tenant with a concurrency limit of four, on two workers."""

    def __init__(self, workers: list[Worker], key: str) -> None:
        self.workers = workers
        self._key = key

    def ask(self, worker: Worker) -> RawResponse:
        """A request that completes at once."""
        with connected(worker.port) as client:
            client.send(self._head("GET", "/v1/contacts") + b"\r\n")
            return client.response()

    def begin(self, worker: Worker, stack: ExitStack) -> RawClient:
        """A request that stays in flight: the server waits for its body."""
        request = self._head("POST", "/v1/contacts") + b"Expect: 100-continue\r\nContent-Length: 100\r\n\r\n"
        end = monotonic() + _SOON
        while monotonic() < end:  # the other worker may keep an idle permit for a moment
            client = stack.enter_context(connected(worker.port))
            client.send(request)
            if client.response().status == 100:
                return client
        pytest.fail("no permit became free")

    def is_full(self, worker: Worker) -> bool:
        response = self.ask(worker)
        assert response.status == 200 or response.problem["code"] == "concurrency_limited"
        return response.status != 200

    def has_room_within(self, seconds: float, worker: Worker) -> bool:
        end = monotonic() + seconds
        while self.is_full(worker):
            if monotonic() >= end:
                return False
        return True

    def _head(self, method: str, path: str) -> bytes:
        fields = f"Host: gateway.test\r\nX-API-Key: {self._key}\r\nContent-Type: application/json\r\n"
        return f"{method} {path} HTTP/1.1\r\n{fields}".encode()


@pytest.fixture(scope="module")
def tenant(
    gateway_template: Template, redis_server: LocalRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tenant]:
    """One for all tests of this module; the last of them kills a worker."""
    tmp_path = tmp_path_factory.mktemp("workers")
    with ExitStack() as stack, redis.Redis.from_url(redis_server.url) as counters:
        counters.flushdb()
        urls = copy_database(gateway_template.urls, stack)
        with psycopg.connect(urls.superuser) as connection:
            connection.execute("UPDATE tenantry.plans SET concurrency = %s", (_LIMIT,))
        workers = []
        for number in range(2):
            changes = {"usage_folder": tmp_path / "usage", "redis_url": redis_server.url}
            workers.append(launch_worker(settings_for(urls, **changes), tmp_path / f"worker-{number}.log"))
            stack.callback(workers[-1].child.stop)
        for worker in workers:
            wait_ready(worker)
        yield Tenant(workers, gateway_template.acme.keys["member"])


def _close(client: RawClient) -> None:
    client.socket.close()


def _reset(client: RawClient) -> None:
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    client.socket.close()


@pytest.mark.parametrize("leave", [_close, _reset])
def test_the_permit_of_a_disconnected_client_is_free_for_others(
    tenant: Tenant, leave: Callable[[RawClient], None]
) -> None:
    """TH2: at once, on both workers, long before the body timeout."""
    first, other = tenant.workers
    for _ in range(3):
        with ExitStack() as stack:
            clients = [tenant.begin(first, stack) for _ in range(_LIMIT)]
            assert tenant.is_full(first)
            assert tenant.is_full(other)
            for client in clients:
                leave(client)
            assert tenant.has_room_within(_SOON, other)
            assert tenant.has_room_within(_SOON, first)


def test_permits_of_a_killed_worker_are_free_when_its_lease_ends(tenant: Tenant) -> None:
    """TH2, TH8: all of them, and not before, since it is unknown which requests it began."""
    killed, left = tenant.workers
    with ExitStack() as stack:
        for _ in range(_LIMIT):
            tenant.begin(killed, stack)
        assert tenant.is_full(left)
        killed.child.kill()
        assert tenant.is_full(left)
        assert tenant.has_room_within(PERMIT_TTL + _SOON, left)
        for _ in range(_LIMIT):
            tenant.begin(left, stack)
        assert tenant.is_full(left)
