"""Seals the answer to a refresh, so that it can be given once more when the first copy was lost on its way.

AES-256-GCM (NIST SP 800-38D) under a key derived from the deployment's secret, bound to the row that keeps it: an
answer moved to another row, or read from a dump, opens for nobody.
"""

import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_LENGTH = 12  # bytes
_PURPOSE = b"tenantry refresh answer v1"


class Sealer:
    """Seals and opens bytes for one row at a time."""

    def __init__(self, secret: bytes) -> None:
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret)
        self._cipher = AESGCM(derived)

    def seal(self, row: UUID, plain: bytes) -> bytes:
        """Nonce, then ciphertext and tag."""
        nonce = os.urandom(_NONCE_LENGTH)
        return nonce + self._cipher.encrypt(nonce, plain, row.bytes)

    def open(self, row: UUID, sealed: bytes) -> bytes | None:
        """What was sealed for this row, or None when it was not, or the secret has changed since."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_LENGTH], sealed[_NONCE_LENGTH:], row.bytes)
        except InvalidTag:
            return None
