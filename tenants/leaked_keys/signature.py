"""Verifies the signature of a report, before anything of it is parsed.

Source: https://docs.github.com/en/code-security/secret-scanning/secret-scanning-partner-program. The signature is ECDSA
on P-256 with SHA-256, over the raw body; a header field has it as base64 of its DER form, another one names the key. It
covers no time: a report that is sent again must be harmless, and is (``service.py``).
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import BaseModel, Field, ValidationError

from tenants.errors import SignatureInvalid

MOST_BYTES = 256 * 1024  # of a report
_LONGEST_SIGNATURE = 96  # characters: base64 of two integers of 32 bytes in DER


class _Key(BaseModel):
    key_identifier: Annotated[str, Field(min_length=1, max_length=200)]
    key: str


class _Document(BaseModel):
    public_keys: Annotated[list[_Key], Field(min_length=1, max_length=50)]


class ReportKeys:
    """The public keys of those who report leaked keys, by their identifiers."""

    def __init__(self, keys: Mapping[str, EllipticCurvePublicKey]) -> None:
        self._keys = keys

    @classmethod
    def load(cls, text: str) -> Self:
        """Read the document that GitHub publishes. Raises ValueError, which names what is wrong without the value."""
        try:
            listed = _Document.model_validate_json(text).public_keys
        except ValidationError:
            raise ValueError('must be JSON: {"public_keys": [{"key_identifier": "…", "key": "<PEM>"}]}') from None
        keys = {each.key_identifier: _public_key(each.key) for each in listed}
        if len(keys) != len(listed):
            raise ValueError("has the same key_identifier twice")
        return cls(keys)

    def signature(self, key_id: str | None, signature: str | None) -> "ReportSignature":
        """A signature as its header fields have it, before the body is read. Raises SignatureInvalid."""
        key = self._keys.get(key_id or "")
        if key is None:
            raise SignatureInvalid(detail="the key is not named, or not known")
        if not signature or len(signature) > _LONGEST_SIGNATURE:
            raise SignatureInvalid(detail="the signature is missing or too long")
        try:
            return ReportSignature(key, base64.b64decode(signature, validate=True))
        except ValueError:
            raise SignatureInvalid(detail="the signature is not base64") from None


@dataclass(frozen=True, slots=True)
class ReportSignature:
    """A signature, and the public key that it is to be verified with."""

    key: EllipticCurvePublicKey
    value: bytes

    def verify(self, raw: bytes) -> None:
        """Return when it is one of exactly these bytes. Raises SignatureInvalid."""
        try:
            self.key.verify(self.value, raw, ECDSA(SHA256()))
        except InvalidSignature:
            raise SignatureInvalid(detail="the signature is not one of this key over this body") from None


def _public_key(pem: str) -> EllipticCurvePublicKey:
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("has a key that is not a public key in PEM") from None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("has a key that is not an ECDSA key on P-256")  # noqa: TRY004 - a setting is wrong, not its type
    return key
