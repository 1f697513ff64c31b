"""How a response is split into reads makes no difference, whether it is valid or not (RFC 9112)."""

import asyncio
import random
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import pytest

from gateway.proxy.client.connection import UpstreamConnection
from gateway.proxy.client.errors import BadResponse, ConnectionLost, UpstreamFailed
from gateway.proxy.client.lifecycle import Lifecycle
from gateway.proxy.client.response_head import HeadReader
from gateway.proxy.client.settings import ConnectionSettings
from tests.fixtures.upstreams import answer

pytestmark = pytest.mark.anyio

_SEEDS = 40
_ROUNDS = 30
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_VALID = (
    answer(b"abc"),
    answer(),
    _CHUNKED + b"3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nx: y\r\n\r\n",
    _CHUNKED + b"0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n" + answer(b"abc"),
    b"HTTP/1.1 204 No Content\r\nx: y\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    answer(b"abc") + answer(b"second"),
)
_INSERTED = (b"\r\n", b"\n", b"\r", b"\0", b" ", b"0", b"content-length: 1\r\n", b"\r\n\r\n", b"HTTP/1.1 ", b"\xff")


class _Pool:
    def __init__(self) -> None:
        self.heads = HeadReader()

    def lost(self, _: Lifecycle) -> None:
        pass


class _Transport:
    def write(self, _: bytes) -> None:
        pass

    def set_write_buffer_limits(self, _: int) -> None:
        pass

    def abort(self) -> None:
        pass

    close = pause_reading = resume_reading = abort


@dataclass(frozen=True, slots=True)
class _Result:
    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    failure: type[UpstreamFailed] | None
    reusable: bool


async def _read(pieces: list[bytes], method: str) -> _Result:
    connection = UpstreamConnection(_Pool(), ConnectionSettings())
    connection.connection_made(cast(asyncio.Transport, _Transport()))
    connection.send(b"", method=method)
    for piece in pieces:
        connection.data_received(piece)
    reusable = connection.reusable
    connection.eof_received()
    connection.connection_lost(None)
    async with asyncio.timeout(1):
        try:
            head = await connection.head()
            body = bytes(head.body)
            while data := await connection.read():
                body += data
        except UpstreamFailed as error:
            return _Result(0, (), b"", type(error), reusable)
    return _Result(head.status, tuple(head.fields), body, None, reusable)


def _mutated(data: bytes, generator: random.Random) -> bytes:
    for _ in range(generator.randint(0, 3)):
        at = generator.randrange(len(data) + 1)
        end = min(len(data), at + generator.choice((0, 0, 1, 2, 20)))
        data = data[:at] + generator.choice((b"", *_INSERTED)) + data[end:]
    return data


def _split(data: bytes, generator: random.Random) -> list[bytes]:
    cuts = sorted(generator.sample(range(len(data) + 1), min(len(data), generator.randint(0, 8))))
    return [data[begin:end] for begin, end in pairwise([0, *cuts, len(data)]) if begin != end]


@pytest.mark.parametrize("seed", range(_SEEDS))
async def test_boundaries_of_reads_make_no_difference(seed: int) -> None:
    """PX5, PX9: seeded; valid and changed responses, in random pieces and byte by byte. Nothing waits for ever."""
    generator = random.Random(seed)  # noqa: S311 - repeatable
    for _ in range(_ROUNDS):
        data = _mutated(generator.choice(_VALID), generator)
        method = generator.choice(("GET", "GET", "HEAD"))
        whole = await _read([data] if data else [], method)
        for pieces in (_split(data, generator), [data[at : at + 1] for at in range(len(data))]):
            assert await _read(pieces, method) == whole, (data, pieces, method)


async def test_the_generator_makes_every_kind_of_result() -> None:
    """Otherwise the test above shows little."""
    generator = random.Random(0)  # noqa: S311 - repeatable
    results = [await _read([_mutated(generator.choice(_VALID), generator) or b"x"], "GET") for _ in range(300)]
    assert {each.failure for each in results} == {None, BadResponse, ConnectionLost}
    assert {each.reusable for each in results if each.failure is None} == {True, False}
