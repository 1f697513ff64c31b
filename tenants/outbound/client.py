"""An HTTP client for URLs of tenants: checked addresses, no redirects, bounded time and size (PX1, PX2).

The address that was checked is the one that is connected to; the host name stays in ``Host`` and in TLS, so that the
certificate is verified for the name. No connection is kept: another host of the same address must not use it.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from tenants.outbound.addresses import AddressFilter, AddressRefused, HostUnknown

CONNECT_SECONDS = 2.0
TOTAL_SECONDS = 5.0
_CONNECTIONS = 100  # of a process
_MOST_ADDRESSES = 2  # tried in turn, such as IPv6 and IPv4
_PORTS = {"https": 443, "http": 80}


class OutboundFailed(Exception):
    """There is no usable response: refused address, no connection, too slow, too large or encoded."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete response of any status; redirects are not followed."""

    status: int
    body: bytes = field(repr=False)


class _PinnedTransport(httpx.AsyncBaseTransport):
    """Looks the host up, checks all of its addresses, and connects to one of them."""

    def __init__(self, addresses: AddressFilter, inner: httpx.AsyncBaseTransport) -> None:
        self._addresses = addresses
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.raw_host.decode("ascii")
        found = await self._addresses.resolve(host.strip("[]"), request.url.port or _PORTS[request.url.scheme])
        request.extensions = {**request.extensions, "sni_hostname": host.strip("[]")}
        failure: httpx.TransportError | None = None
        for address in found[:_MOST_ADDRESSES]:
            request.url = request.url.copy_with(host=str(address))
            try:
                return await self._inner.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure or httpx.ConnectError("no address")

    async def aclose(self) -> None:
        await self._inner.aclose()


class OutboundClient:
    """Shared by a process. Every request raises OutboundFailed when there is no complete response in time."""

    def __init__(self, addresses: AddressFilter, *, total_seconds: float = TOTAL_SECONDS) -> None:
        self._addresses = addresses
        self._total = total_seconds
        self._opened: httpx.AsyncClient | None = None

    async def get(self, url: str, *, most: int, headers: Mapping[str, str] | None = None) -> Reply:
        """GET, with a response of at most ``most`` bytes."""
        return await self._send("GET", url, b"", most, headers or {})

    async def post(self, url: str, body: bytes, *, most: int, headers: Mapping[str, str]) -> Reply:
        """POST, with a response of at most ``most`` bytes."""
        return await self._send("POST", url, body, most, headers)

    async def close(self) -> None:
        """End the connections and the threads."""
        if self._opened is not None:
            await self._opened.aclose()
        self._addresses.close()

    def _client(self) -> httpx.AsyncClient:
        """Made at the first request: it reads the certificates of all authorities, some 20 ms that commands save."""
        if self._opened is None:
            limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=0)
            verify = ssl.create_default_context()  # the authorities that the system trusts
            inner = httpx.AsyncHTTPTransport(verify=verify, limits=limits, trust_env=False)
            self._opened = httpx.AsyncClient(
                transport=_PinnedTransport(self._addresses, inner),
                timeout=httpx.Timeout(self._total, connect=CONNECT_SECONDS),
                follow_redirects=False,
                trust_env=False,
            )
        return self._opened

    async def _send(self, method: str, url: str, body: bytes, most: int, headers: Mapping[str, str]) -> Reply:
        # Not encoded: a small compressed body can hold a very large one.
        sent = {"accept": "application/json", **headers, "accept-encoding": "identity"}
        try:
            async with asyncio.timeout(self._total):
                client = self._client()
                request = client.build_request(method, url, content=body or None, headers=sent)
                response = await client.send(request, stream=True)
                try:
                    return Reply(response.status_code, await _bounded(response, most))
                finally:
                    await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, AddressRefused, HostUnknown, TimeoutError) as error:
            raise OutboundFailed(_reason(error)) from error


async def _bounded(response: httpx.Response, most: int) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise OutboundFailed("encoded response")
    received = bytearray()
    async for chunk in response.aiter_raw():
        received += chunk
        if len(received) > most:
            raise OutboundFailed("response too large")
    return bytes(received)


def _reason(error: BaseException) -> str:
    """The kind of failure alone: messages of libraries can quote a URL."""
    return type(error).__name__
