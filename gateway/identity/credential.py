"""Parses the one credential of a request from its header fields, and refuses everything ambiguous."""

from collections.abc import Iterable, Mapping
from hashlib import sha256

from starlette.types import Scope

from gateway.request.fields import Credential, Field, RequestFields
from tenants.credentials import CredentialInvalid

MAX_LENGTH = 8192  # bytes; nothing longer is hashed or decoded (ID6)
_KEY_PREFIX = b"tn_"
# RFC 9110 section 11.2, token68: the characters of a credential.
_TOKEN68 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="


def sent_credentials(fields: RequestFields) -> bytes | None:
    """The header values that carry credentials, unparsed; None without any."""
    authorization, api_key = fields.by_name.get(b"authorization"), fields.by_name.get(b"x-api-key")
    if authorization is None:
        return api_key
    return authorization if api_key is None else authorization + b"," + api_key


def read_credential(sent: bytes, scope: Scope, fields: RequestFields) -> Credential:
    """Parse ``Authorization: Bearer`` or ``X-API-Key``; ``sent`` is what ``sent_credentials`` returned.

    Raises CredentialInvalid for two different credentials, a repeated header field, a scheme other than Bearer, and an
    empty or overlong value.
    """
    if fields.repeated:
        _refuse_repeated(scope["headers"])
    text = _text(fields.by_name)
    return Credential(sent, text, hash_of(text))


def hash_of(text: bytes) -> bytes:
    """A plain hash: a credential has at least 160 random bits or a signature, so that the hash reveals nothing."""
    return sha256(text).digest()


def _text(fields: Mapping[bytes, bytes]) -> bytes:
    authorization = fields.get(b"authorization")
    if authorization is None:
        return _key(fields[b"x-api-key"])
    credential = _bearer(authorization)
    api_key = fields.get(b"x-api-key")
    if api_key is not None and _key(api_key) != credential:
        raise CredentialInvalid(detail="two different credentials")
    return credential


def _refuse_repeated(headers: Iterable[Field]) -> None:
    names = [name for name, _ in headers]
    for name in (b"authorization", b"x-api-key"):
        if names.count(name) > 1:
            raise CredentialInvalid(detail=f"repeated {name.decode('ascii')} field")


def text_of(credential: bytes) -> str:
    """The credential as text. Raises CredentialInvalid for characters outside token68."""
    if credential.translate(None, _TOKEN68):
        raise CredentialInvalid(detail="characters outside token68")
    return credential.decode("ascii")


def _bearer(value: bytes) -> bytes:
    scheme, _, rest = value.partition(b" ")
    if scheme.lower() != b"bearer":
        raise CredentialInvalid(detail="a scheme other than Bearer")
    return _bounded(rest.strip(b" "))


def _key(value: bytes) -> bytes:
    key = _bounded(value.strip(b" \t"))
    if not key.startswith(_KEY_PREFIX):
        raise CredentialInvalid(detail="X-API-Key without an API key")
    return key


def _bounded(credential: bytes) -> bytes:
    if not 0 < len(credential) <= MAX_LENGTH:
        raise CredentialInvalid(detail="empty or longer than 8 KB")
    return credential
