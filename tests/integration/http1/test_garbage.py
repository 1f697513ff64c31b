"""Requests leave no reference cycles."""

import gc

from structlog.testing import CapturingLogger

from gateway.gate.access_log import AccessLog
from gateway.gate.gate import Gate
from gateway.problems.documents import Problems
from gateway.request.source import SourceReader
from tests.asgi import respond_ok, route_to
from tests.fixtures.http1 import Http1Server, StartServer
from tests.raw_http import RawClient, connected

_GET = b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
_REQUESTS = 100


def _send_requests(client: RawClient, server: Http1Server) -> None:
    for _ in range(_REQUESTS):
        client.send(_GET)
        assert client.response().status == 200
    server.scopes.clear()  # references that the fixture holds


def test_a_completed_request_is_freed_by_reference_counting(start_server: StartServer) -> None:
    """Context, scope, task and cycle refer to each other; a cycle left over would wait for the garbage collector.

    Then every request would use new memory, and collections would delay all requests.
    """
    gate = Gate(
        respond_ok,
        stages=(route_to(respond_ok, "/"),),
        problems=Problems("https://gateway.test"),
        source=SourceReader(),
        access=AccessLog(CapturingLogger(), share=0.0),
    )
    server = start_server(gate)
    with connected(server.port) as client:
        _send_requests(client, server)
        gc.collect()
        gc.disable()
        try:
            _send_requests(client, server)
            assert gc.collect() < _REQUESTS
        finally:
            gc.enable()
