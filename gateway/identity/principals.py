"""The one way from a credential to a subject: remembered, or loaded once for all who wait."""

from gateway.identity.answer import Subject
from gateway.identity.cache import PrincipalCache
from gateway.identity.credential import text_of
from gateway.identity.loads import Loads
from gateway.identity.wanted import Secret, Wanted
from gateway.request.fields import Credential
from tenants.api_keys.secret import SecretKind, kind_of
from tenants.credentials import CredentialInvalid
from tenants.sign_in.access_tokens import AccessClaims, AccessTokens

_TOKEN_DOTS = 2  # header.payload.signature
_KEYS = frozenset({SecretKind.LIVE, SecretKind.TEST, SecretKind.OPERATOR})


class Principals:
    """Recognises credentials: keys and tokens alike are remembered by their hash."""

    def __init__(self, cache: PrincipalCache, loads: Loads, tokens: AccessTokens) -> None:
        self._cache = cache
        self._loads = loads
        self._tokens = tokens

    @property
    def remembered(self) -> int:
        """Credentials that are remembered as good."""
        return len(self._cache)

    @property
    def loads(self) -> int:
        """How many were asked of the database so far."""
        return self._loads.begun

    def recall(self, key: bytes) -> Subject | None:
        """The cached subject of a warm credential, else None. Raises CredentialExpired."""
        return self._cache.recall(key)

    async def find(self, credential: Credential, source: str = "") -> Subject:
        """The subject of a credential that is not warm. Unknown ones of one ``source`` wait behind each other.

        Raises the refusal that it has earned, or Unavailable when the database cannot be asked; never the one for the
        other.
        """
        key = credential.key
        refusal = self._cache.recall_refusal(key)
        if refusal is not None:
            raise refusal
        wanted = self._read(credential.text)
        answer = await self._loads.answer(key, wanted, self._lane(key, wanted, source))
        if isinstance(answer.subject, type):
            raise answer.subject
        return answer.subject

    def _read(self, sent: bytes) -> Wanted:
        text = text_of(sent)
        kind = kind_of(text)
        if kind in _KEYS:
            return Secret(kind, text)
        if kind is None and sent.count(b".") == _TOKEN_DOTS:
            return self._tokens.verify(sent)
        raise CredentialInvalid(detail="neither a key of ours nor a token")

    def _lane(self, key: bytes, wanted: Wanted, source: str) -> object:
        # A tenant's own flood waits behind itself. Whose an unknown key is, only the database knows: then it is the
        # sender's, and one who sends many waits behind himself as well.
        known = wanted.tenant_id if isinstance(wanted, AccessClaims) else self._cache.tenant_of(key)
        return known or source
