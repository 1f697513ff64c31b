"""Finds the one credential of a request in its raw headers, and refuses whatever could be read in two ways."""

from collections.abc import Iterable, Mapping
from hashlib import sha256

from starlette.types import Scope

from gateway.request.fields import Credential, Field, RequestFields
from tenants.credentials import CredentialInvalid

LONGEST = 8192  # bytes; nothing longer is hashed or decoded (ID6)
_KEY_PREFIX = b"tn_"
# RFC 9110 section 11.2, token68: what a credential may be made of.
_TOKEN68 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="


def sent_credentials(fields: RequestFields) -> bytes | None:
    """All that the fields carry as credentials, as it was sent; None when they carry nothing."""
    authorization, api_key = fields.by_name.get(b"authorization"), fields.by_name.get(b"x-api-key")
    if authorization is None:
        return api_key
    return authorization if api_key is None else authorization + b"," + api_key


def read_credential(sent: bytes, scope: Scope, fields: RequestFields) -> Credential:
    """What ``Authorization: Bearer`` or ``X-API-Key`` carries, for a request that has ``sent`` either.

    Raises CredentialInvalid when there are two different credentials, one header several times, another scheme, or
    nothing after the name.
    """
    if fields.repeated:
        _refuse_repeated(scope["headers"])
    text = _text(fields.by_name)
    return Credential(sent, text, hash_of(text))


def hash_of(text: bytes) -> bytes:
    """A credential has at least 160 random bits or a signature, so a plain hash gives nothing away."""
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
            raise CredentialInvalid(detail=f"several {name.decode('ascii')} headers")


def text_of(credential: bytes) -> str:
    """The credential as text. Raises CredentialInvalid when it holds anything but the characters of a token."""
    if credential.translate(None, _TOKEN68):
        raise CredentialInvalid(detail="characters that no credential has")
    return credential.decode("ascii")


def _bearer(value: bytes) -> bytes:
    scheme, _, rest = value.partition(b" ")
    if scheme.lower() != b"bearer":
        raise CredentialInvalid(detail="another scheme than Bearer")
    return _bounded(rest.strip(b" "))


def _key(value: bytes) -> bytes:
    key = _bounded(value.strip(b" \t"))
    if not key.startswith(_KEY_PREFIX):
        raise CredentialInvalid(detail="X-API-Key holds no API key")
    return key


def _bounded(credential: bytes) -> bytes:
    if not 0 < len(credential) <= LONGEST:
        raise CredentialInvalid(detail="empty or longer than 8 KB")
    return credential
