"""The one way from a credential to a subject: remembered, or loaded once for all who wait."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from hashlib import sha256

from gateway.identity.cache import Answer, PrincipalCache, Subject
from gateway.identity.credential import text_of
from gateway.identity.loading import Loader
from tenants.api_keys.secret import SecretKind, kind_of
from tenants.credentials import CredentialInvalid
from tenants.errors import Unavailable

_TOKEN_DOTS = 2  # header.payload.signature
_DEADLINE = 4.0  # seconds that a request waits for its credential to be loaded


class Principals:
    """Recognises credentials. At most ``loads`` ask the database at a time, so that a flood leaves it to others.

    The key of what is remembered is the SHA-256 of the credential: it has at least 160 random bits or a signature, so a
    plain hash gives nothing away, and one hash serves keys and tokens alike.
    """

    def __init__(self, cache: PrincipalCache, loader: Loader, *, loads: int = 4) -> None:
        self._cache = cache
        self._loader = loader
        self._slots = asyncio.Semaphore(loads)

    @property
    def remembered(self) -> int:
        """Credentials that are remembered as good."""
        return len(self._cache)

    @property
    def loads(self) -> int:
        """How many were asked of the database so far."""
        return self._cache.loads

    def recall(self, credential: bytes) -> Subject | None:
        """The subject when it is warm. Raises CredentialExpired. Never waits."""
        return self._cache.recall(sha256(credential).digest())

    async def find(self, credential: bytes) -> Subject:
        """The subject of a credential that is not warm.

        Raises the refusal that it has earned, or Unavailable when the database cannot be asked; never the one for the
        other.
        """
        load = self._way_to_load(credential)
        key = sha256(credential).digest()
        refusal = self._cache.recall_refusal(key)
        if refusal is None:
            subject = (await self._loaded(key, load)).subject
            if not isinstance(subject, type):
                return subject
            refusal = subject
        raise refusal

    def _way_to_load(self, credential: bytes) -> Callable[[], Awaitable[Answer]]:
        text = text_of(credential)
        kind = kind_of(text)
        if kind is SecretKind.LIVE or kind is SecretKind.TEST:
            return partial(self._loader.api_key, text)
        if kind is SecretKind.OPERATOR:
            return partial(self._loader.operator_key, text)
        if kind is None and credential.count(b".") == _TOKEN_DOTS:
            return partial(self._loader.access_token, credential)
        raise CredentialInvalid(detail="neither a key of ours nor a token")

    async def _loaded(self, key: bytes, load: Callable[[], Awaitable[Answer]]) -> Answer:
        async def in_turn() -> Answer:
            async with self._slots:
                return await load()

        try:
            async with asyncio.timeout(_DEADLINE):
                return await self._cache.load(key, in_turn)
        except TimeoutError as error:
            raise Unavailable(detail="a credential could not be loaded in time") from error
