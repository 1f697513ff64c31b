"""Credential to subject: from the cache, or loaded once for all callers."""

from gateway.identity.cache import PrincipalCache
from gateway.identity.credential import text_of
from gateway.identity.credential_loader import CredentialLoader
from gateway.identity.lookup import KeySecret, Lookup, Subject
from gateway.request.fields import Credential
from tenants.credentials import CredentialInvalid
from tenants.secrets.tokens import SecretKind, kind_of
from tenants.sign_in.access_tokens import AccessClaims, AccessTokens

_TOKEN_DOTS = 2  # header.payload.signature
_KEYS = frozenset({SecretKind.LIVE, SecretKind.TEST, SecretKind.OPERATOR})


class Principals:
    """Finds the subject of a credential. Keys and tokens alike are cached by their hash."""

    def __init__(self, cache: PrincipalCache, loader: CredentialLoader, tokens: AccessTokens) -> None:
        self._cache = cache
        self._loader = loader
        self._tokens = tokens

    @property
    def cached(self) -> int:
        """Number of good credentials in the cache."""
        return len(self._cache)

    @property
    def loads(self) -> int:
        """Number of credentials requested from the database so far."""
        return self._loader.started

    def get(self, key: bytes) -> Subject | None:
        """The cached subject of the credential with this hash, else None. Raises CredentialExpired."""
        return self._cache.get(key)

    async def load(self, credential: Credential, source: str = "") -> Subject:
        """The subject of a credential that is not cached. Unknown credentials of one ``source`` queue together.

        Raises the refusal of a bad credential, or Unavailable when the database is unavailable; never confuses them.
        """
        key = credential.key
        refusal = self._cache.get_refusal(key)
        if refusal is not None:
            raise refusal
        lookup = self._parse(credential.text)
        result = await self._loader.load(key, lookup, self._queue_of(key, lookup, source))
        if isinstance(result.subject, type):
            raise result.subject
        return result.subject

    def _parse(self, sent: bytes) -> Lookup:
        text = text_of(sent)
        kind = kind_of(text)
        if kind in _KEYS:
            return KeySecret(kind, text)
        if kind is None and sent.count(b".") == _TOKEN_DOTS:
            return self._tokens.verify(sent)
        raise CredentialInvalid(detail="neither an API key nor a token")

    def _queue_of(self, key: bytes, lookup: Lookup, source: str) -> object:
        # A tenant's own flood queues behind itself. The tenant of an unknown key is not known yet: such keys queue by
        # source address.
        known = lookup.tenant_id if isinstance(lookup, AccessClaims) else self._cache.tenant_of(key)
        return known or source
