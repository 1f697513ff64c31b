"""Credential to subject: from the cache, or loaded once for all callers."""

from gateway.identity.cache import PrincipalCache
from gateway.identity.credential import text_of
from gateway.identity.credential_loader import CredentialLoader
from gateway.identity.lookup import Holder, KeySecret, Lookup, LookupResult, Subject
from gateway.identity.turns import Turn
from gateway.request.fields import Credential
from tenants.credentials import CredentialInvalid
from tenants.database.listener import ChangeKind
from tenants.errors import TenantryError
from tenants.secrets.tokens import SecretKind, kind_of
from tenants.sign_in.access_tokens import AccessTokens, Claims

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

    def forget(self) -> None:
        """Load every credential again before it is used: something that all of them depend on has changed."""
        self._cache.on_change(ChangeKind.RESET, "")

    def holder_of(self, key: bytes) -> Holder | None:
        """Whose the credential with this hash was, if it was refused as a revoked API key."""
        return self._cache.holder_of(key)

    async def load(self, credential: Credential, source: str = "", turn: Turn | None = None) -> Subject:
        """The subject of a credential that is not cached. Unknown credentials of one ``source`` queue together.

        ``turn`` is waited for before anything that costs: a refusal that is cached, and a key whose checksum is wrong,
        need none. Raises the refusal of a bad credential, or Unavailable when the database is unavailable; never
        confuses them.
        """
        key = credential.key
        refusal = self._cache.get_refusal(key)
        if refusal is not None:
            raise refusal
        text = text_of(credential.text)
        kind = _kind(text)
        if turn is not None:
            await turn("keys" if kind else "tokens")
        lookup = KeySecret(kind, text) if kind else self._verified(credential)
        result = await self._loader.load(key, lookup, self._queue_of(key, lookup, source))
        if isinstance(result.subject, type):
            raise result.subject
        return result.subject

    def _verified(self, token: Credential) -> Claims:
        began = self._cache.begin_load()
        try:
            return self._tokens.verify(token.text)
        except TenantryError as error:
            # A token that is sent again must not cost another signature. It is not good later either: keys are read at
            # the start of a process, and the few seconds of a cached refusal matter to no lifetime.
            self._cache.keep(token.key, LookupResult(type(error)), began)
            raise

    def _queue_of(self, key: bytes, lookup: Lookup, source: str) -> object:
        # A tenant's own flood queues behind itself. The tenant of an unknown key is not known yet: such keys queue by
        # source address.
        known = self._cache.tenant_of(key) if isinstance(lookup, KeySecret) else lookup.tenant_id
        return known or source


def _kind(text: str) -> SecretKind | None:
    """The kind of an API key; None for what may be a token."""
    kind = kind_of(text)
    if kind in _KEYS or (kind is None and text.count(".") == _TOKEN_DOTS):
        return kind
    raise CredentialInvalid(detail="neither an API key nor a token")
