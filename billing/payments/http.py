"""The SDK's HTTP, over a client of ours: pooled, with a deadline, and never through a proxy to our own machine."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
from stripe import APIConnectionError, HTTPClient


class BoundedHttpClient(HTTPClient):
    """``deadline`` holds for each phase of a request; who calls bounds the whole."""

    name = "httpx"

    def __init__(self, base: str, deadline: float) -> None:
        super().__init__()
        self._client = httpx.AsyncClient(timeout=deadline, trust_env=not is_loopback(base))

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """One request. Raises stripe.APIConnectionError when there is no answer."""
        try:
            answer = await self._client.request(method, url, headers=headers, content=post_data or None)
        except httpx.HTTPError as error:
            raise _no_answer(error) from error
        return answer.content, answer.status_code, answer.headers

    async def sleep_async(self, secs: float) -> None:
        """Wait between the SDK's own retries."""
        await anyio.sleep(secs)

    async def close_async(self) -> None:
        """Close the pool."""
        await self._client.aclose()


def _no_answer(error: httpx.HTTPError) -> APIConnectionError:
    return APIConnectionError(f"{type(error).__name__}: {error}")  # type: ignore[no-untyped-call]  # the SDK's


def is_loopback(base: str) -> bool:
    """True when the base address is on this machine, where the development stand-in is."""
    host = urlsplit(base).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
