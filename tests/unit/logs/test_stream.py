"""A slow reader of the log never blocks the process."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator

import orjson
import pytest
import structlog

from gateway.logs.setup import configure_logging
from gateway.logs.stream import LogStream

_LINE = b"x" * 299 + b"\n"
_PIPE = 65_536  # bytes, pipe(7)
_MANY = 20 * _PIPE // len(_LINE)


@pytest.fixture
def pipe() -> Iterator[tuple[int, LogStream]]:
    """The reading end of a pipe, and a stream that writes to it."""
    reading, writing = os.pipe()
    stream = LogStream(writing, max_queued=1000)
    yield reading, stream
    with contextlib.suppress(OSError):  # a test has closed it
        os.close(reading)  # ends pending writes with an error
    assert stream.drain(10)
    os.close(writing)


def _read(reading: int, until: bytes) -> bytes:
    taken = b""
    while until not in taken:
        taken += os.read(reading, _PIPE)
    return taken


def test_a_line_is_written_at_once_if_the_pipe_has_room(pipe: tuple[int, LogStream]) -> None:
    """A process that is killed a moment later has logged the line."""
    reading, stream = pipe
    assert stream.write("one line\n") == 9
    assert os.read(reading, _PIPE) == b"one line\n"


def test_a_stalled_reader_does_not_block_writers(pipe: tuple[int, LogStream]) -> None:
    """A blocking write on the event loop would stop every request of the worker after 64 KB."""
    reading, stream = pipe
    started = time.monotonic()
    for _ in range(_MANY):
        stream.write(_LINE)
    assert time.monotonic() - started < 5
    assert not stream.drain(0.1)
    *lines, notice, _ = _read(reading, b"log_lines_dropped").split(b"\n")
    assert set(lines) == {_LINE[:-1]}
    dropped = orjson.loads(notice)["dropped"]
    assert dropped > 0
    assert len(lines) + dropped == _MANY
    assert stream.drain(10)
    stream.write(b"the end\n")
    assert os.read(reading, _PIPE) == b"the end\n"


def test_lines_keep_their_order(pipe: tuple[int, LogStream]) -> None:
    reading, stream = pipe
    for number in range(800):
        stream.write(f"{number} ".encode() + _LINE)  # more than the pipe holds
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.append(_read(reading, b"the end")))
    reader.start()
    assert stream.drain(10)
    stream.write("the end")
    reader.join()
    assert [line.split()[0] for line in taken[0].splitlines()[:-1]] == [b"%d" % number for number in range(800)]


def test_a_line_longer_than_the_pipe_is_written_completely(pipe: tuple[int, LogStream]) -> None:
    """For example a traceback."""
    reading, stream = pipe
    stream.write("y" * 3 * _PIPE + "\n")
    stream.write("next\n")
    assert _read(reading, b"next\n") == b"y" * 3 * _PIPE + b"\nnext\n"


def test_a_closed_reader_raises_no_error(pipe: tuple[int, LogStream]) -> None:
    reading, stream = pipe
    os.close(reading)
    stream.write(_LINE)
    stream.write(b"z" * _PIPE)
    assert stream.drain(10)


@pytest.mark.parametrize("readable", [False, True], ids=["production", "development"])
def test_every_logger_writes_to_the_stream(pipe: tuple[int, LogStream], readable: bool) -> None:  # noqa: FBT001 - a parameter
    reading, stream = pipe
    access = configure_logging(level="INFO", readable=readable, stream=stream)
    access.info("request", status=200)
    structlog.get_logger("ours").info("component_event", answer=42)
    taken = _read(reading, b"42")
    assert taken.index(b"request") < taken.index(b"component_event")
