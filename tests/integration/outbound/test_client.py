"""The client for tenants' URLs: the checked address is the one that is asked, under the name that was given."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tenants.outbound.addresses import AddressFilter
from tenants.outbound.client import OutboundClient, OutboundFailed
from tenants.values.networks import Address

pytestmark = pytest.mark.anyio

_LOOPBACK = "127.0.0.1"
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class _Pinned(AddressFilter):
    """Every name means this machine, at its first look-up of a request alone."""

    def __init__(self) -> None:
        super().__init__([_LOOPBACK])
        self.looked_up: list[str] = []

    async def resolve(self, host: str, port: int) -> list[Address]:
        self.looked_up.append(host)
        return await super().resolve(_LOOPBACK, port)


@asynccontextmanager
async def _server(
    answer: Callable[[bytes, asyncio.StreamWriter], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """The port of a server that gives the head of each request to ``answer``."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(await reader.readuntil(b"\r\n\r\n"), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has refused the certificate, or has gone
        finally:
            writer.close()

    async with await asyncio.start_server(serve, _LOOPBACK, 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]


async def test_the_checked_address_is_asked_under_the_given_name() -> None:
    """PX1: one look-up for each request, and none after the check (DNS rebinding); no connection is kept."""
    heads: list[bytes] = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(_OK)
        await writer.drain()

    addresses = _Pinned()
    client = OutboundClient(addresses)
    async with _server(answer) as port:
        for name in ("login.test", "other.test"):
            reply = await client.get(f"http://{name}:{port}/path?x=1", most=2)
            assert (reply.status, reply.body) == (200, b"{}")
    await client.close()
    assert addresses.looked_up == ["login.test", "other.test"]
    assert [head.splitlines()[0] for head in heads] == [b"GET /path?x=1 HTTP/1.1"] * 2
    assert f"host: login.test:{port}".encode() in heads[0].lower()
    assert b"accept-encoding: identity" in heads[0].lower()


async def test_the_certificate_is_verified_for_the_name(server_tls: ssl.SSLContext, trusted: None) -> None:  # noqa: ARG001
    """PX1: a certificate for the address is none for the name."""

    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(_OK)
        await writer.drain()

    client = OutboundClient(_Pinned())
    async with _server(answer, server_tls) as port:
        assert (await client.get(f"https://{_LOOPBACK}:{port}/", most=2)).status == 200
        with pytest.raises(OutboundFailed, match="ConnectError"):
            await client.get(f"https://login.test:{port}/", most=2)
    await client.close()


async def test_a_response_without_end_is_ended() -> None:
    """PX8, DA2: by its size, or by the deadline for all of it, however slowly it comes."""

    async def endless(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * (1_000 if b"/fast" in head else 1))
            await writer.drain()
            await asyncio.sleep(0.02)

    client = OutboundClient(_Pinned(), total_seconds=0.3)
    async with _server(endless) as port:
        with pytest.raises(OutboundFailed, match="too large"):
            await client.get(f"http://login.test:{port}/fast", most=2_500)
        with pytest.raises(OutboundFailed, match="Timeout"):
            await client.get(f"http://login.test:{port}/slow", most=2_500)
    await client.close()
