"""Metadata and keys of providers, as they publish them, kept for a while (OpenID Connect Discovery 1.0).

What is kept is bounded: providers, the bytes of each document, and its keys. An unknown kid makes at most one request
in ``REFETCH_SECONDS`` (ID7), and a provider that fails is asked again after ``RETRY_SECONDS`` only.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tenants.oidc.errors import AnswerRefused, IssuerUnusable
from tenants.oidc.tokens import TokenHeader, fits
from tenants.outbound.client import OutboundClient, OutboundFailed
from tenants.outbound.urls import LONGEST_URL, read_secure_url
from tenants.values.errors import BadValue

FRESH_SECONDS = 3_600.0
REFETCH_SECONDS = 30.0
RETRY_SECONDS = 5.0
_MOST_PROVIDERS = 1_000
_MOST_BYTES = 131_072  # of a document: some 200 keys
_MOST_KEYS = 100
_AT_ONCE = 4  # requests to one provider: a slow one must not take all connections
_LONGEST_WAIT = 2.0  # seconds for one of them
_OK = 200
_WELL_KNOWN = "/.well-known/openid-configuration"

_Model = TypeVar("_Model", bound=BaseModel)
_Url = Annotated[str, Field(max_length=LONGEST_URL)]


class Metadata(BaseModel):
    """The members of an issuer's metadata that are used. One that signs people in has endpoints for that.

    A workload's issuer often has none of them: GitHub Actions, Kubernetes.
    """

    model_config = ConfigDict(frozen=True)

    issuer: _Url
    jwks_uri: _Url
    authorization_endpoint: _Url | None = None
    token_endpoint: _Url | None = None
    userinfo_endpoint: _Url | None = None
    scopes_supported: tuple[str, ...] = ()
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class _KeySet(BaseModel):
    keys: Annotated[list[dict[str, Any]], Field(max_length=_MOST_KEYS)]


@dataclass(slots=True)
class _Provider:
    """What is known of one issuer. Times are of the clock, in seconds."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # one fetch at a time; others wait for its result
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    metadata: Metadata | None = None
    metadata_at: float = 0.0
    keys: list[dict[str, Any]] | None = None
    keys_at: float = 0.0
    failed_at: float | None = None


class Discovery:
    """Of all providers that this process has asked."""

    def __init__(
        self, http: OutboundClient, *, allow_loopback_http: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._http = http
        self._allow_loopback_http = allow_loopback_http
        self._clock = clock
        self._providers: OrderedDict[str, _Provider] = OrderedDict()

    @asynccontextmanager
    async def slot(self, issuer: str) -> AsyncIterator[None]:
        """Held by every other request to the provider. Raises IssuerUnusable when none is free in time."""
        slots = self._provider(issuer).slots
        try:
            async with asyncio.timeout(_LONGEST_WAIT):
                await slots.acquire()
        except TimeoutError as error:
            raise IssuerUnusable("too many requests at once") from error
        try:
            yield
        finally:
            slots.release()

    async def metadata(self, issuer: str) -> Metadata:
        """The metadata, whose issuer is exactly this one. Raises IssuerUnusable."""
        provider = self._provider(issuer)
        async with provider.lock:
            if provider.metadata is None or self._clock() - provider.metadata_at > FRESH_SECONDS:
                found = await self._fetched(provider, issuer.rstrip("/") + _WELL_KNOWN, Metadata)
                self._check(found, issuer)
                provider.metadata, provider.metadata_at = found, self._clock()
            return provider.metadata

    async def key(self, issuer: str, header: TokenHeader) -> dict[str, Any]:
        """The key that verifies a token with this header. Raises AnswerRefused and IssuerUnusable."""
        metadata, provider = await self.metadata(issuer), self._provider(issuer)
        async with provider.lock:
            age = self._clock() - provider.keys_at
            if (
                provider.keys is None
                or age > FRESH_SECONDS
                or (age >= REFETCH_SECONDS and not _fitting(provider.keys, header))
            ):
                await self._fetch_keys(provider, metadata)
            found = _fitting(provider.keys or [], header)
        if len(found) != 1:  # none, or duplicates, between which the token cannot choose
            raise AnswerRefused("no key, or more than one, fits the token")
        return found[0]

    async def _fetch_keys(self, provider: _Provider, metadata: Metadata) -> None:
        fetched = await self._fetched(provider, metadata.jwks_uri, _KeySet)
        provider.keys, provider.keys_at = fetched.keys, self._clock()

    async def _fetched(self, provider: _Provider, url: str, model: type[_Model]) -> _Model:
        """The caller holds the provider's lock."""
        if provider.failed_at is not None and self._clock() - provider.failed_at < RETRY_SECONDS:
            raise IssuerUnusable("failed a moment ago")
        provider.failed_at = self._clock()
        try:
            reply = await self._http.get(url, most=_MOST_BYTES)
            found = model.model_validate_json(reply.body)
        except (OutboundFailed, ValidationError) as error:
            raise IssuerUnusable("no document" if isinstance(error, OutboundFailed) else "bad document") from error
        if reply.status != _OK:
            raise IssuerUnusable(f"status {reply.status}")
        provider.failed_at = None
        return found

    def _check(self, metadata: Metadata, issuer: str) -> None:
        if metadata.issuer != issuer:
            raise IssuerUnusable("metadata of another issuer")
        for url in (
            metadata.authorization_endpoint,
            metadata.token_endpoint,
            metadata.jwks_uri,
            metadata.userinfo_endpoint,
        ):
            try:
                if url is not None:
                    read_secure_url(url, allow_loopback_http=self._allow_loopback_http)
            except BadValue as error:
                raise IssuerUnusable("metadata has an endpoint that is not https") from error

    def _provider(self, issuer: str) -> _Provider:
        provider = self._providers.setdefault(issuer, _Provider())
        self._providers.move_to_end(issuer)
        while len(self._providers) > _MOST_PROVIDERS:
            self._providers.popitem(last=False)
        return provider


def _fitting(keys: list[dict[str, Any]], header: TokenHeader) -> list[dict[str, Any]]:
    return [key for key in keys if fits(key, header)]
