"""A flood of connections neither ends the listening nor shuts good clients out (PX8)."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.raw_http import RawClient, connected

_GOOD = b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
_HALF = b"GET / HTTP/1.1\r\nHost: gate"


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
        stack.enter_context(connected(port)).send(_HALF)


def _is_answered(client: RawClient) -> bool:
    client.send(_GOOD)
    return client.answer().status == 200


def _is_answered_in_time(port: int) -> bool:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with suppress(AssertionError, OSError), connected(port) as client:  # reset, while the flood has not ebbed yet
            return _is_answered(client)
    return False


def test_half_open_connections_shut_nobody_out() -> None:
    """PX8: a server keeps below what it may open, and lets go of who has been silent for the longest."""
    with _server(400, 100) as port, ExitStack() as stack:
        _flood(stack, port, 100)
        regular = stack.enter_context(connected(port))
        for _ in range(5):
            assert _is_answered(regular)
            _flood(stack, port, 80)
            with connected(port) as last:  # accepted after the others, so that all of them are
                assert _is_answered(last)


def test_a_server_that_has_no_descriptor_left_goes_on_when_it_has() -> None:
    """PX8: whatever else has used them up, to accept fails for that moment alone."""
    with _server(40, 1_000) as port:
        with ExitStack() as stack:
            _flood(stack, port, 100)
        assert _is_answered_in_time(port)
