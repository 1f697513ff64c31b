"""Entity tags: a row's version, signed so that it is one tenant's, one row's and one representation's (IS7).

The version stands in the tag in the open, so that If-Match becomes a condition of the UPDATE itself and needs no read
before it (DA4). Source: RFC 9110 sections 8.8.3, 13.1.1 and 13.1.2.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from tenants.identifiers import TenantId
from tenants.resources.collection import Collection

_PURPOSE = b"tenantry etag 1"
_MAC_BYTES = 9  # 12 characters of base64, or 18 of hexadecimal
_TAG = re.compile(r'[\s,]*(?P<weak>W/)?"(?P<opaque>[\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')
_OPAQUE = re.compile(r"([1-9][0-9]{0,9})-([0-9a-f]{18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tagged:
    """Which object a tag is of."""

    tenant: TenantId
    collection: Collection
    id: UUID


class EntityTags:
    """Makes and reads tags. ``secret`` is the deployment's; every worker must have the same."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, _PURPOSE, "sha256")

    def of(self, row: Tagged, version: int) -> str:
        """The strong tag of that version, quotes included."""
        return f'"{version}-{self._mac(row, version)}"'

    def versions(self, row: Tagged, if_match: str | None) -> tuple[int, ...] | None:
        """The versions that If-Match allows; None when it allows any. Weak and foreign tags allow none."""
        if if_match is None or if_match.strip() == "*":
            return None
        return tuple(self._genuine(row, (opaque for weak, opaque in tags_of(if_match) if not weak)))

    def unchanged(self, row: Tagged, version: int, if_none_match: str | None) -> bool:
        """True when the caller has this version already, by weak comparison."""
        if if_none_match is None:
            return False
        if if_none_match.strip() == "*":
            return True
        return version in self._genuine(row, (opaque for _, opaque in tags_of(if_none_match)))

    def _genuine(self, row: Tagged, opaques: Iterator[str]) -> Iterator[int]:
        for opaque in opaques:
            match = _OPAQUE.fullmatch(opaque)
            if match and hmac.compare_digest(match[2], self._mac(row, int(match[1]))):
                yield int(match[1])

    def _mac(self, row: Tagged, version: int) -> str:
        signed = b"%b%b%b%d" % (row.tenant.bytes, row.id.bytes, row.collection.fingerprint, version)
        return hashlib.blake2b(signed, key=self._key, digest_size=_MAC_BYTES).hexdigest()


def tags_of(header: str) -> Iterator[tuple[bool, str]]:
    """The tags of a list, up to the first thing that is none: whether each is weak, and what stands in its quotes.

    Empty elements, which a sender that joins lists may leave, count for nothing (RFC 9110 section 5.6.1.2).
    """
    position = 0
    while match := _TAG.match(header, position):
        yield match["weak"] is not None, match["opaque"]
        position = match.end()
