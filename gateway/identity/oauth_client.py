"""Client authentication at the token endpoint (RFC 6749 section 2.3.1): an API key is the client's secret."""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from gateway.identity.credential import hash_of
from gateway.request.fields import Credential
from tenants.oauth.errors import InvalidClient
from tenants.secrets.tokens import SecretKind, kind_of

_KEYS = frozenset({SecretKind.LIVE, SecretKind.TEST})


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """What the client says of itself. ``id`` is empty, or must be the key's."""

    id: str
    secret: str = field(repr=False)

    @property
    def credential(self) -> Credential:
        """The key, as the identity stage reads it. Raises InvalidClient for what cannot be one (ID1)."""
        if kind_of(self.secret) not in _KEYS:
            raise InvalidClient(detail="the secret is no API key")
        secret = self.secret.encode()
        return Credential(secret, secret, hash_of(secret))


def read_client(fields: Mapping[bytes, bytes], form: Mapping[str, str], *, repeated: bool = False) -> OAuthClient:
    """By ``client_secret_basic`` or ``client_secret_post``, not by both. Raises InvalidClient."""
    authorization = fields.get(b"authorization")
    if b"x-api-key" in fields or repeated or (authorization is not None and "client_secret" in form):
        raise InvalidClient(detail="more than one method of client authentication")
    if authorization is None:
        return OAuthClient(form.get("client_id", ""), form.get("client_secret", ""))
    client = _basic(authorization)
    if form.get("client_id", client.id) != client.id:
        raise InvalidClient(detail="two client ids")
    return client


def _basic(authorization: bytes) -> OAuthClient:
    """Both parts are form-encoded before they become a user name and a password."""
    scheme, _, value = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        raise InvalidClient(detail="a scheme other than Basic")
    try:
        text = b64decode(value.strip(b" "), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidClient(detail="Basic credentials are not base64 of ASCII") from error
    name, colon, secret = text.partition(":")
    if not colon:
        raise InvalidClient(detail="Basic credentials without a colon")
    return OAuthClient(unquote_plus(name), unquote_plus(secret))
