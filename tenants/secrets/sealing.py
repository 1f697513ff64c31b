"""Sealed values: what the database stores of a secret that must be read again.

AES-256-GCM (NIST SP 800-38D) under a key that HKDF (RFC 5869) derives from a deployment's secret for one purpose. A
sealed value is bound to the tenant and the row that store it: moved to another row, or read from a dump, it cannot be
opened. The envelope names the version of its key, so that keys rotate online: the newest seals, all of them open.

    byte 0        format, 1
    bytes 1 to 4  version of the key, big-endian
    bytes 5 to 16 nonce
    the rest      ciphertext and tag
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tenants.identifiers import TenantId

_HEADER = struct.Struct(">BI")  # format, version of the key
_FORMAT = 1
_NONCE_LENGTH = 12  # bytes
_NO_TENANT = UUID(int=0)


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A version of the secret that sealing keys are derived from."""

    version: int
    secret: bytes = field(repr=False)  # at least 32 bytes


@dataclass(frozen=True, slots=True)
class SealedRow:
    """The row that stores a sealed value; ``tenant`` is None for rows of no tenant."""

    tenant: TenantId | None
    id: UUID

    @property
    def associated_data(self) -> bytes:
        """32 bytes of fixed parts: no other row has the same."""
        return (self.tenant or _NO_TENANT).bytes + self.id.bytes


class Sealer:
    """Seals and opens values of one purpose. Values of another purpose are under other keys."""

    def __init__(self, keys: Sequence[SealingKey], purpose: str) -> None:
        """Take the keys newest first. Raises ValueError when there is none, or two have the same version."""
        if not keys or len({key.version for key in keys}) != len(keys):
            raise ValueError("sealing needs at least one key, and each version once")
        self._ciphers = {key.version: _cipher(key.secret, purpose) for key in keys}
        self._newest = keys[0].version

    def seal(self, row: SealedRow, plain: bytes) -> bytes:
        """The envelope of ``plain``, under the newest key."""
        header, nonce = _HEADER.pack(_FORMAT, self._newest), os.urandom(_NONCE_LENGTH)
        sealed = self._ciphers[self._newest].encrypt(nonce, plain, header + row.associated_data)
        return header + nonce + sealed

    def open(self, row: SealedRow, envelope: bytes) -> bytes | None:
        """What was sealed for this row; None when it was not, was changed, or its key is gone."""
        version = _version_of(envelope)
        cipher = None if version is None else self._ciphers.get(version)
        if cipher is None:
            return None
        header, rest = envelope[: _HEADER.size], envelope[_HEADER.size :]
        try:
            return cipher.decrypt(rest[:_NONCE_LENGTH], rest[_NONCE_LENGTH:], header + row.associated_data)
        except (InvalidTag, ValueError):  # ValueError: shorter than a nonce
            return None

    def is_current(self, envelope: bytes) -> bool:
        """Whether it is under the newest key; one that is not should be sealed again."""
        return _version_of(envelope) == self._newest


def _version_of(envelope: bytes) -> int | None:
    if len(envelope) < _HEADER.size:
        return None
    envelope_format, version = _HEADER.unpack_from(envelope)
    return version if envelope_format == _FORMAT else None


def _cipher(secret: bytes, purpose: str) -> AESGCM:
    info = f"tenantry sealed {purpose} v{_FORMAT}".encode()
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret))
