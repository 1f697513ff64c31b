"""The parts of a compact JWS (RFC 7515 section 7.1), read so that no two parsers could read them differently."""

import json
from dataclasses import dataclass
from typing import Any, NoReturn

from joserfc.util import urlsafe_b64decode, urlsafe_b64encode


class BadJws(ValueError):
    """The text is no compact JWS with a JSON object in it; the message says why, for the log only."""


@dataclass(frozen=True, slots=True)
class CompactJws:
    """Header and payload of a token that is not verified yet, and the bytes that its signature is over."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes


def read_compact(token: bytes) -> CompactJws:
    """The parts of a token. Raises BadJws."""
    segments = token.split(b".")
    if len(segments) != 3:  # noqa: PLR2004 - header, payload, signature
        raise BadJws("not three segments")
    header, claims, _ = map(_decoded, segments, ("header", "payload", "signature"))
    return CompactJws(_loads(header, "header"), _loads(claims, "payload"), token.rpartition(b".")[0])


def _decoded(segment: bytes, name: str) -> bytes:
    """The content of a segment, which has one spelling, whatever a decoder tolerates."""
    try:
        content = urlsafe_b64decode(segment)
    except ValueError as error:
        raise BadJws(f"{name} is not base64url") from error
    if urlsafe_b64encode(content) != segment:
        raise BadJws(f"{name} is not canonical base64url")
    return content


def _loads(content: bytes, name: str) -> dict[str, Any]:
    """Parse UTF-8 without a byte order mark (RFC 8259 section 8.1): given bytes, ``json`` would guess an encoding."""
    try:
        text = content.decode("utf-8")
        found = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadJws(f"{name} is not JSON in UTF-8") from error
    if not isinstance(found, dict):
        raise BadJws(f"{name} is not an object")
    return found


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # parsers differ in which of the two they use
        raise ValueError("duplicate member name")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
