"""Entity tags: a row's version, signed so that a tag belongs to one tenant, one row and one representation (IS7).

The version is readable in the tag, so that If-Match becomes a condition of the change itself and needs no read before
it (DA4). Services know versions only; header fields end here. Source: RFC 9110 sections 8.8.3, 13.1.1 and 13.1.2.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass

import orjson
from pydantic import BaseModel
from starlette.types import Scope

_PURPOSE = b"tenantry etag 1"
_FINGERPRINT_BYTES = 8
_MAC_BYTES = 9  # 18 hexadecimal characters
_TAG = re.compile(r'[\s,]*(?P<weak>W/)?"(?P<opaque>[\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')
_OPAQUE = re.compile(r"([1-9][0-9]{0,9})-([0-9a-f]{18})", re.ASCII)

Versions = tuple[int, ...] | None  # the versions that a change accepts; None accepts any


@dataclass(frozen=True, slots=True)
class Tagged:
    """The object that a tag belongs to."""

    representation: bytes  # a fingerprint of the fixed length of ``representation_of``
    id: bytes
    tenant: bytes = bytes(16)  # the UUID of the tenant whose data it is; zeros for control objects


def representation_of(model: type[BaseModel]) -> bytes:
    """Fingerprint of what an answer shows: another release that shows other fields makes other tags."""
    schema = orjson.dumps(model.model_json_schema(), option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(schema, digest_size=_FINGERPRINT_BYTES).digest()


class EntityTags:
    """Makes and checks tags. ``secret`` is the deployment's; every worker must have the same."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, _PURPOSE, "sha256")

    def of(self, tagged: Tagged, version: int) -> str:
        """The strong tag of that version, quotes included."""
        return f'"{version}-{self._mac(tagged, version)}"'

    def expected(self, tagged: Tagged, scope: Scope) -> Versions:
        """The versions that the request's If-Match allows. Weak and foreign tags allow none."""
        if_match = _field(scope, b"if-match")
        if if_match is None or if_match.strip() == "*":
            return None
        return tuple(self._genuine(tagged, (opaque for weak, opaque in _tags_in(if_match) if not weak)))

    def unchanged(self, tagged: Tagged, version: int, scope: Scope) -> bool:
        """True when the request's If-None-Match names this version, by weak comparison."""
        if_none_match = _field(scope, b"if-none-match")
        if if_none_match is None:
            return False
        if if_none_match.strip() == "*":
            return True
        return version in self._genuine(tagged, (opaque for _, opaque in _tags_in(if_none_match)))

    def _genuine(self, tagged: Tagged, opaques: Iterator[str]) -> Iterator[int]:
        for opaque in opaques:
            match = _OPAQUE.fullmatch(opaque)
            if match and hmac.compare_digest(match[2], self._mac(tagged, int(match[1]))):
                yield int(match[1])

    def _mac(self, tagged: Tagged, version: int) -> str:
        # The id is the one part whose length varies: at the end it cannot be mistaken for another part.
        signed = b"%b%b%d %b" % (tagged.representation, tagged.tenant, version, tagged.id)
        return hashlib.blake2b(signed, key=self._key, digest_size=_MAC_BYTES).hexdigest()


def _tags_in(header: str) -> Iterator[tuple[bool, str]]:
    """The tags of a list, up to the first element that is not one: whether each is weak, and its opaque part.

    Empty elements, which a sender that joins lists may leave, are skipped (RFC 9110 section 5.6.1.2).
    """
    position = 0
    while match := _TAG.match(header, position):
        yield match["weak"] is not None, match["opaque"]
        position = match.end()


def _field(scope: Scope, name: bytes) -> str | None:
    """A list-valued field may be sent on several lines (RFC 9110 section 5.3)."""
    lines = [value for field, value in scope["headers"] if field == name]
    return b", ".join(lines).decode("latin-1") if lines else None
