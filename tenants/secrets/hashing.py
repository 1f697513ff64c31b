"""Keyed hashes of opaque tokens: what the database stores in their place (ID2)."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from tenants.settings import Pepper


@dataclass(frozen=True, slots=True)
class SecretDigest:
    """What is stored of a token: HMAC-SHA-256 under one version of the pepper (ID2)."""

    value: bytes  # 32 bytes
    pepper_version: int


class SecretHasher:
    """Hashes under the newest pepper and recognises hashes under any other, so that peppers rotate online."""

    def __init__(self, peppers: Sequence[Pepper]) -> None:
        """Take the peppers newest first. Raises ValueError when there is none, or two have the same version."""
        if not peppers or len({pepper.version for pepper in peppers}) != len(peppers):
            raise ValueError("peppers need at least one version, and each version once")
        self._peppers = {pepper.version: pepper.secret for pepper in peppers}
        self.newest = peppers[0].version

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions of the pepper that are known, newest first."""
        return tuple(self._peppers)

    def digest(self, secret: str) -> SecretDigest:
        """What to store of a new token."""
        return self._under(self.newest, secret)

    def candidates(self, secret: str) -> tuple[SecretDigest, ...]:
        """What may be stored of this token, newest pepper first."""
        return tuple(self._under(version, secret) for version in self._peppers)

    def matches(self, secret: str, stored: bytes) -> bool:
        """Whether this is the token that was stored, compared in constant time (ID3)."""
        return any(hmac.compare_digest(each.value, stored) for each in self.candidates(secret))

    def _under(self, version: int, secret: str) -> SecretDigest:
        return SecretDigest(hmac.digest(self._peppers[version], secret.encode("ascii"), hashlib.sha256), version)
