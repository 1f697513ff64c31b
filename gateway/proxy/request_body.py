"""The body of a request on its way to an upstream: whole in memory when it is small, otherwise as it arrives (PX11).

A small body is read before a connection is taken: a slow sender then holds none, and the request can be sent again.
"""

import asyncio
from dataclasses import dataclass

from starlette.types import Receive

from gateway.problems.errors import PayloadTooLarge
from gateway.proxy.client.connection import UpstreamConnection
from gateway.proxy.client.errors import UpstreamFailed
from gateway.request.client import Client
from tenants.errors import TenantryError
from tenants.routes.schemas import LARGEST_BUFFERED, RouteSpec

CHUNKED = -1  # in place of a length
_SMALL = 65_536  # bytes


class ClientLeft(Exception):
    """The client has gone: no answer is wanted any more."""


@dataclass(slots=True, frozen=True)
class RequestBody:
    """``data`` is all of it, unless ``streamed``: then it is still to be read."""

    data: bytes = b""
    length: int = 0  # bytes, or CHUNKED
    streamed: bool = False

    @property
    def announced(self) -> int | None:
        """Its length; None where it is sent in chunks."""
        return None if self.length == CHUNKED else self.length

    def framing(self, method: str) -> bytes:
        """The header line that tells how long it is (RFC 9110 section 8.6, RFC 9112 section 6.1)."""
        if self.length == CHUNKED:
            return b"transfer-encoding: chunked\r\n"
        if self.length or method in {"POST", "PUT", "PATCH"}:
            return b"content-length: %d\r\n" % self.length
        return b""


NO_BODY = RequestBody()


async def read_body(spec: RouteSpec, client: Client, receive: Receive) -> RequestBody:
    """The body, as far as it is read first. Raises PayloadTooLarge, ClientLeft, and the errors of an invalid body."""
    client.stream_body(spec.body_limit)
    whole = client.whole_body()
    if whole is not None:
        return RequestBody(whole, len(whole))
    length = client.body_length
    if spec.buffer or 0 < length <= _SMALL:
        data = await _read_whole(receive)
        return RequestBody(data, len(data))
    return RequestBody(length=length, streamed=True)


async def _read_whole(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientLeft
        parts.append(message["body"])
        size += len(message["body"])
        if size > LARGEST_BUFFERED:
            raise PayloadTooLarge
        more = message["more_body"]
    return b"".join(parts)


class Pump:
    """Sends the body of one request on as it arrives, in a task of its own: the answer may begin before its end.

    It ends with the body, with the connection, or when the upstream wants no more of it.
    """

    def __init__(self, connection: UpstreamConnection, receive: Receive) -> None:
        self.error: TenantryError | None = None  # in the client's body: what the client is told
        self._connection = connection
        self._receive = receive
        self._task = asyncio.get_running_loop().create_task(self._run(), name="request body")

    @property
    def done(self) -> bool:
        """Nothing more will be written to the connection."""
        return self._task.done()

    def stop(self) -> None:
        """The exchange is over."""
        self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._send_on()
        except UpstreamFailed:
            pass  # head() and read() raise the same error
        except TenantryError as error:
            self.error = error
            self._connection.abort()

    async def _send_on(self) -> None:
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                self._connection.abort()
                return
            if message["body"] and not await self._connection.write(message["body"]):
                return
            more = message["more_body"]
        self._connection.end_body()
