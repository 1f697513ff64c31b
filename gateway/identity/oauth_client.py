"""Client authentication at the token endpoint (RFC 6749 section 2.3.1): an API key is the client's secret."""

import binascii
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as member
from urllib.parse import unquote_plus

from gateway.identity.credential import hash_of
from gateway.request.fields import Credential, Field
from tenants.oauth.errors import InvalidClient
from tenants.secrets.tokens import SecretKind, kind_of

_CREDENTIALS = frozenset({b"authorization", b"x-api-key"})
_KEYS = frozenset({SecretKind.LIVE, SecretKind.TEST})


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """What the client says of itself. ``id`` is empty, or must be the key's."""

    id: str
    secret: str = member(repr=False)

    @property
    def credential(self) -> Credential:
        """The key, as the identity stage reads it. Raises InvalidClient for what cannot be one (ID1)."""
        if kind_of(self.secret) not in _KEYS:
            raise InvalidClient(detail="the secret is no API key")
        secret = self.secret.encode()
        return Credential(secret, secret, hash_of(secret))


def read_client(headers: Iterable[Field], form: Mapping[str, str]) -> OAuthClient:
    """By ``client_secret_basic`` or ``client_secret_post``, and by one of them only. Raises InvalidClient."""
    sent = [each for each in headers if each[0] in _CREDENTIALS]
    if not sent:
        return OAuthClient(form.get("client_id", ""), form.get("client_secret", ""))
    if len(sent) > 1 or "client_secret" in form:
        raise InvalidClient(detail="more than one method of client authentication")
    client = _basic(sent[0])
    if form.get("client_id", client.id) != client.id:
        raise InvalidClient(detail="two client ids")
    return client


def _basic(sent: Field) -> OAuthClient:
    """Both parts are form-encoded before they become a user name and a password."""
    name, field = sent
    scheme, _, value = field.partition(b" ")
    if name != b"authorization" or scheme.lower() != b"basic":
        raise InvalidClient(detail="a scheme other than Basic")
    try:
        text = b64decode(value.strip(b" "), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidClient(detail="Basic credentials are not base64 of ASCII") from error
    client, colon, secret = text.partition(":")
    if not colon:
        raise InvalidClient(detail="Basic credentials without a colon")
    return OAuthClient(unquote_plus(client), unquote_plus(secret))
