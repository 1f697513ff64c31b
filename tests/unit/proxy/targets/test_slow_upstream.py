"""A target that sends its response byte by byte, behind the forwarder."""

import time

from tests.fixtures.proxied import ProxiedServer, Visit, proxied, scripted, upstream_spec
from tests.raw_http import RawResponse, connected


def _drip(visit: Visit) -> None:
    """Never longer without a byte than a tenth of a second, and never complete in time."""
    while visit.request() is not None:
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok":
            visit.socket.sendall(bytes((byte,)))
            time.sleep(0.1)
        visit.next()


def _get(gateway: ProxiedServer) -> RawResponse:
    with connected(gateway.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: gate.test\r\n\r\n")
        return client.response()


def test_a_target_that_is_slow_by_the_byte_times_out_and_is_ejected() -> None:
    """PX8, PX10: each byte does not start the deadline anew; the others get the requests after that."""
    with scripted(_drip) as slow, scripted() as good:
        spec = upstream_spec(
            slow.url, good.url, timeouts={"first_byte": 0.3}, outliers={"failures": 1, "eject_seconds": 600}
        )
        with proxied(spec) as gateway:
            answers = [_get(gateway) for _ in range(30)]
    late = [answer for answer in answers if answer.status != 200]
    assert [(answer.status, answer.problem["code"]) for answer in late] == [(504, "upstream_timeout")]
    assert len(slow.requests) == 1
