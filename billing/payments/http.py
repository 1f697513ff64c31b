"""HTTP client for Stripe's SDK: pooled, with a deadline, and without a proxy for loopback addresses."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
from stripe import APIConnectionError, HTTPClient


class BoundedHttpClient(HTTPClient):
    """``deadline`` applies to each phase of a request, in seconds; the caller bounds the whole call."""

    name = "httpx"

    def __init__(self, base: str, deadline: float) -> None:
        super().__init__()
        self._client = httpx.AsyncClient(timeout=deadline, trust_env=not is_loopback(base))

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send one request. Raises stripe.APIConnectionError when there is no response."""
        try:
            response = await self._client.request(method, url, headers=headers, content=post_data or None)
        except httpx.HTTPError as error:
            raise _connection_error(error) from error
        return response.content, response.status_code, response.headers

    async def sleep_async(self, secs: float) -> None:
        """Wait between the SDK's own retries."""
        await anyio.sleep(secs)

    async def close_async(self) -> None:
        """Close the pool."""
        await self._client.aclose()


def _connection_error(error: httpx.HTTPError) -> APIConnectionError:
    return APIConnectionError(f"{type(error).__name__}: {error}")  # type: ignore[no-untyped-call]  # the SDK's


def is_loopback(base: str) -> bool:
    """Whether the base URL is on this machine, where the development stand-in runs."""
    host = urlsplit(base).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
