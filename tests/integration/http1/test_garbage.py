"""What a request leaves behind."""

import gc

from structlog.testing import CapturingLogger

from gateway.gate.access_log import AccessLog
from gateway.gate.gate import Gate
from gateway.problems.documents import Problems
from gateway.request.source import SourceReader
from tests.asgi import leads_to, says_ok
from tests.fixtures.http1 import EdgeFactory, EdgeServer
from tests.raw_http import RawClient, connected

_GET = b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
_REQUESTS = 100


def _ask(client: RawClient, edge: EdgeServer) -> None:
    for _ in range(_REQUESTS):
        client.send(_GET)
        assert client.answer().status == 200
    edge.seen.clear()  # the fixture's own memory


def test_a_request_that_has_ended_is_freed_at_once(edge_servers: EdgeFactory) -> None:
    """Context, scope, task and cycle know each other; what they form must not wait for the collector.

    Each request would work in other memory than the last, and collections hold up all of them.
    """
    gate = Gate(
        says_ok,
        stages=(leads_to(says_ok, "/"),),
        problems=Problems("https://gateway.test"),
        source=SourceReader(),
        access=AccessLog(CapturingLogger(), share=0.0),
    )
    edge = edge_servers(gate)
    with connected(edge.port) as client:
        _ask(client, edge)
        gc.collect()
        gc.disable()
        try:
            _ask(client, edge)
            assert gc.collect() < _REQUESTS
        finally:
            gc.enable()
