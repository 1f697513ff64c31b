"""A flood of connections neither stops the listener nor locks out other clients (PX8)."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.raw_http import RawClient, connected

_REQUEST = b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
_PARTIAL = b"GET / HTTP/1.1\r\nHost: gate"


@contextmanager
def _server(descriptors: int, connections: int) -> Iterator[int]:
    command = [sys.executable, "-m", "tests.integration.http1.few_descriptors", str(descriptors), str(connections)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own
        assert process.stdout is not None
        yield int(process.stdout.readline())
        assert process.poll() is None
        process.communicate(b"")


def _flood(stack: ExitStack, port: int, count: int) -> None:
    for _ in range(count):
        stack.enter_context(connected(port)).send(_PARTIAL)


def _is_served(client: RawClient) -> bool:
    client.send(_REQUEST)
    return client.response().status == 200


def _is_served_eventually(port: int) -> bool:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with suppress(AssertionError, OSError), connected(port) as client:  # reset, while the flood is not over
            return _is_served(client)
    return False


def test_half_open_connections_do_not_lock_out_other_clients() -> None:
    """PX8: the server stays below its connection limit by evicting the longest idle connection."""
    with _server(400, 100) as port, ExitStack() as stack:
        _flood(stack, port, 100)
        regular = stack.enter_context(connected(port))
        for _ in range(5):
            assert _is_served(regular)
            _flood(stack, port, 80)
            with connected(port) as last:  # accepted last, so all others are accepted
                assert _is_served(last)


def test_the_server_recovers_from_running_out_of_descriptors() -> None:
    """PX8: accepting fails only while none is left."""
    with _server(40, 1_000) as port:
        with ExitStack() as stack:
            _flood(stack, port, 100)
        assert _is_served_eventually(port)
