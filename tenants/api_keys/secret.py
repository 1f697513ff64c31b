"""The secrets that we hand out: how they are made, told apart, checked without a look-up, and hashed for keeping.

Format: a prefix that names the kind, 36 random base62 characters (214 bits), then six base62 characters of the CRC32 of
all before them. A row shows four random characters and four of the checksum, which leaves more than 160 bits unknown.
"""

import hashlib
import hmac
import secrets
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tenants.settings import Pepper

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_LENGTH = 36
_CHECKSUM_LENGTH = 6
_SHOWN_OF_RANDOM = 4


class SecretKind(StrEnum):
    """What a secret is for, which is also how it begins."""

    LIVE = "tn_live_"
    TEST = "tn_test_"
    OPERATOR = "tn_op_"
    REFRESH = "tn_ref_"


@dataclass(frozen=True, slots=True)
class SecretDigest:
    """What is kept of a secret: HMAC-SHA-256 under one version of the pepper (ID2)."""

    value: bytes  # 32 bytes
    pepper_version: int


def generate(kind: SecretKind) -> str:
    """A new secret of this kind, from the operating system's random source."""
    body = kind + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    return body + checksum(body)


def checksum(text: str) -> str:
    """The six base62 characters that end a secret: CRC32 of all before them, most significant digit first."""
    value = zlib.crc32(text.encode("ascii"))
    digits = []
    for _ in range(_CHECKSUM_LENGTH):
        value, digit = divmod(value, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def kind_of(text: str) -> SecretKind | None:
    """The kind of a well-formed secret, or None. Asks nobody: a wrong checksum costs no look-up (ID1)."""
    kind = next((each for each in SecretKind if text.startswith(each)), None)
    if kind is None or not text.isascii() or len(text) != len(kind) + _RANDOM_LENGTH + _CHECKSUM_LENGTH:
        return None
    return kind if checksum(text[:-_CHECKSUM_LENGTH]) == text[-_CHECKSUM_LENGTH:] else None


def prefix_of(secret: str, kind: SecretKind) -> str:
    """The first characters, by which people tell keys apart."""
    return secret[: len(kind) + _SHOWN_OF_RANDOM]


def last4_of(secret: str) -> str:
    """The last four characters."""
    return secret[-4:]


class SecretHasher:
    """Hashes under the newest pepper and recognises what any of the others hashed, so that they rotate online."""

    def __init__(self, peppers: Sequence[Pepper]) -> None:
        """Take the peppers newest first. Raises ValueError when there is none, or one version stands twice."""
        if not peppers or len({pepper.version for pepper in peppers}) != len(peppers):
            raise ValueError("peppers need at least one version, and each version once")
        self._peppers = {pepper.version: pepper.secret for pepper in peppers}
        self.newest = peppers[0].version

    def digest(self, secret: str) -> SecretDigest:
        """What to keep of a new secret."""
        return self._under(self.newest, secret)

    def candidates(self, secret: str) -> tuple[SecretDigest, ...]:
        """What may have been kept of this secret, newest pepper first."""
        return tuple(self._under(version, secret) for version in self._peppers)

    def matches(self, secret: str, kept: bytes) -> bool:
        """Whether this is the secret that was kept, compared in constant time (ID3)."""
        return any(hmac.compare_digest(each.value, kept) for each in self.candidates(secret))

    def _under(self, version: int, secret: str) -> SecretDigest:
        return SecretDigest(hmac.digest(self._peppers[version], secret.encode("ascii"), hashlib.sha256), version)
