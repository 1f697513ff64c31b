"""Finds the one credential of a request in its raw headers, and refuses whatever could be read in two ways."""

from collections.abc import Iterable

from tenants.credentials import CredentialInvalid

LONGEST = 8192  # bytes; nothing longer is hashed or decoded (ID6)
_KEY_PREFIX = b"tn_"
# RFC 9110 section 11.2, token68: what a credential may be made of.
_TOKEN68 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="


def find_credential(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """What ``Authorization: Bearer`` or ``X-API-Key`` carries; None when neither is there.

    ``headers`` are the raw ones of the ASGI scope, names in lower case. Raises CredentialInvalid when there are two
    different credentials, one header several times, another scheme, or nothing after the name.
    """
    authorization: bytes | None = None
    api_key: bytes | None = None
    for name, value in headers:
        if name == b"authorization":
            if authorization is not None:
                raise CredentialInvalid(detail="several Authorization headers")
            authorization = value
        elif name == b"x-api-key":
            if api_key is not None:
                raise CredentialInvalid(detail="several X-API-Key headers")
            api_key = value
    if authorization is None:
        return None if api_key is None else _key(api_key)
    credential = _bearer(authorization)
    if api_key is not None and _key(api_key) != credential:
        raise CredentialInvalid(detail="two different credentials")
    return credential


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
