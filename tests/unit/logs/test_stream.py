"""Log lines that nobody takes hold up nobody."""

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
    """The end that should be read, and a stream on the other."""
    reading, writing = os.pipe()
    stream = LogStream(writing, most=1000)
    yield reading, stream
    with contextlib.suppress(OSError):  # a test has closed it
        os.close(reading)  # whoever still writes is told
    assert stream.drain(10)
    os.close(writing)


def _read(reading: int, until: bytes) -> bytes:
    taken = b""
    while until not in taken:
        taken += os.read(reading, _PIPE)
    return taken


def test_what_is_taken_at_once_is_written_at_once(pipe: tuple[int, LogStream]) -> None:
    """A process that is killed a moment later has logged it."""
    reading, stream = pipe
    assert stream.write("one line\n") == 9
    assert os.read(reading, _PIPE) == b"one line\n"


def test_a_reader_that_stands_still_holds_up_nobody(pipe: tuple[int, LogStream]) -> None:
    """Written on the event loop, the first line beyond 64 KB would stop every request of the worker."""
    reading, stream = pipe
    began = time.monotonic()
    for _ in range(_MANY):
        stream.write(_LINE)
    assert time.monotonic() - began < 5
    assert not stream.drain(0.1)
    *lines, notice, _ = _read(reading, b"log_lines_dropped").split(b"\n")
    assert set(lines) == {_LINE[:-1]}
    dropped = orjson.loads(notice)["pieces"]
    assert dropped > 0
    assert len(lines) + dropped == _MANY
    assert stream.drain(10)
    stream.write(b"the end\n")
    assert os.read(reading, _PIPE) == b"the end\n"


def test_lines_keep_their_order_whoever_writes_them(pipe: tuple[int, LogStream]) -> None:
    reading, stream = pipe
    for number in range(800):
        stream.write(f"{number} ".encode() + _LINE)  # more than the pipe takes at once
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.append(_read(reading, b"the end")))
    reader.start()
    assert stream.drain(10)
    stream.write("the end")
    reader.join()
    assert [line.split()[0] for line in taken[0].splitlines()[:-1]] == [b"%d" % number for number in range(800)]


def test_a_line_longer_than_a_pipe_takes_at_once_is_written_whole(pipe: tuple[int, LogStream]) -> None:
    """A traceback, say."""
    reading, stream = pipe
    stream.write("y" * 3 * _PIPE + "\n")
    stream.write("next\n")
    assert _read(reading, b"next\n") == b"y" * 3 * _PIPE + b"\nnext\n"


def test_a_reader_that_has_gone_is_no_fault(pipe: tuple[int, LogStream]) -> None:
    reading, stream = pipe
    os.close(reading)
    stream.write(_LINE)
    stream.write(b"z" * _PIPE)
    assert stream.drain(10)


@pytest.mark.parametrize("readable", [False, True], ids=["production", "development"])
def test_every_logger_of_ours_writes_to_it(pipe: tuple[int, LogStream], readable: bool) -> None:  # noqa: FBT001 - a parameter
    reading, stream = pipe
    access = configure_logging(level="INFO", readable=readable, stream=stream)
    access.info("request", status=200)
    structlog.get_logger("ours").info("said by a part", answer=42)
    taken = _read(reading, b"42")
    assert taken.index(b"request") < taken.index(b"said by a part")
