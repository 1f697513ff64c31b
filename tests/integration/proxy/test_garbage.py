"""Proxied requests leave no reference cycles, failed ones neither (see ``tests/integration/http1/test_garbage.py``)."""

import gc

import pytest

from tests.fixtures.proxied import ProxiedServer, Script, Visit, answer_all, proxied, scripted
from tests.raw_http import RawClient, connected

_HOST = b" / HTTP/1.1\r\nHost: gate.test\r\n"
_REQUESTS = 50


def _closing(visit: Visit) -> None:
    visit.request()


def _send_requests(client: RawClient, gateway: ProxiedServer, request: bytes, status: int) -> None:
    for _ in range(_REQUESTS):
        client.send(request)
        assert client.response().status == status
    assert gateway.http1.wait_until(lambda: len(gateway.lines) == _REQUESTS)
    gateway.http1.scopes.clear()  # references that the fixtures hold
    gateway.log.calls.clear()


@pytest.mark.parametrize(
    ("request_", "script", "status"),
    [
        (b"GET" + _HOST + b"\r\n", answer_all, 200),
        (b"POST" + _HOST + b"Content-Length: 100000\r\n\r\n" + b"a" * 100_000, answer_all, 200),
        (b"GET" + _HOST + b"\r\n", _closing, 502),
    ],
    ids=["answered", "streamed", "failed"],
)
def test_a_proxied_request_is_freed_by_reference_counting(request_: bytes, script: Script, status: int) -> None:
    """LD1: a cycle left over would wait for the garbage collector, which delays all requests."""
    with scripted(script) as upstream, proxied(upstream) as gateway, connected(gateway.port) as client:
        _send_requests(client, gateway, request_, status)
        gc.collect()
        gc.disable()
        try:
            _send_requests(client, gateway, request_, status)
            assert gc.collect() < _REQUESTS
        finally:
            gc.enable()
