"""The path that an upstream gets: the one that was authorized, in one canonical form (PX6).

The routing stage refuses paths that are read differently by different programs: encoded slashes and dots, segments of
dots, and empty segments where they could lead to another route. What remains is percent-encoding that means nothing.
"""

import re
from urllib.parse import unquote_to_bytes

from tenants.errors import NotFound
from tenants.routes.schemas import RouteSpec

_PLACE = re.compile(r"\{(\w+)\}")
_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Bytes that begin no UTF-8 text, only forms of ``/`` and ``.`` that lenient decoders accept; a segment of dots with a
# parameter, which some servers cut off.
_AMBIGUOUS = re.compile(rb"%[Cc][01]|/\.{1,2}(?:;|%3[Bb]|/|$)|%2[EFef]|%5[Cc]")


def canonical(raw: bytes) -> bytes:
    """Unreserved characters as themselves, other encodings in capitals (RFC 3986 section 6.2.2). Raises NotFound."""
    if b"%" not in raw and b"/." not in raw:
        return raw
    if _AMBIGUOUS.search(raw):
        raise NotFound
    return _ENCODED.sub(_normal, raw)


def _normal(encoded: re.Match[bytes]) -> bytes:
    byte = unquote_to_bytes(encoded[0])
    return byte if byte[0] in _UNRESERVED else encoded[0].upper()


class PathMap:
    """From the path of a request to that of the upstream, by the route's ``strip_prefix`` and ``rewrite``."""

    def __init__(self, spec: RouteSpec) -> None:
        prefix = spec.path.strip("/")
        self._segments = len(prefix.split("/")) if prefix else 0
        self._template = "" if spec.rewrite is None else spec.rewrite.rstrip("/")
        self.keeps = not spec.strip_prefix and spec.rewrite is None  # a canonical path stays what it is
        names = [_PLACE.fullmatch(each) for each in prefix.split("/")]
        self._places = {match[1]: at for at, match in enumerate(names, 1) if match is not None}
        literal = spec.strip_prefix and spec.rewrite is None and not self._places
        self.stripped = ("/" + prefix).encode() if literal and prefix else b""  # what callers see before the rest

    def __call__(self, raw: bytes) -> bytes:
        """``raw`` is the path as it was sent, which the route matches. Raises NotFound for an ambiguous one."""
        path = canonical(raw)
        return path if self.keeps else self._replaced(path)

    def _replaced(self, path: bytes) -> bytes:
        parts = path.split(b"/", self._segments + 1)
        rest = b"/" + parts[self._segments + 1] if len(parts) > self._segments + 1 else b""
        replaced = self._put_in(parts) + rest
        if replaced.startswith(b"//"):  # servers take what follows for a host (RFC 3986 section 4.2)
            raise NotFound
        return replaced or b"/"

    def _put_in(self, parts: list[bytes]) -> bytes:
        if not self._places:
            return self._template.encode()
        return _PLACE.sub(lambda match: parts[self._places[match[1]]].decode("ascii"), self._template).encode()
