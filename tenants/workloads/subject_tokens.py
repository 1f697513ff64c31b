"""Verification of the token that a workload brings (RFC 8693 section 2.1). No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tenants.oidc.errors import AnswerRefused
from tenants.oidc.tokens import FAULTS, LEEWAY, refuse, signed
from tenants.values.compact_jws import BadJws, CompactJws, read_compact
from tenants.workloads.patterns import unmet
from tenants.workloads.trust import Trust

LONGEST_SUBJECT_TOKEN = 12_288  # bytes
LONGEST_LIFE = 86_400  # seconds: a token that lives for longer is as good as a stored key
_LONGEST_SUBJECT = 255
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})  # others are for another purpose (RFC 8725 section 3.11)


@dataclass(frozen=True, slots=True)
class Workload:
    """Who a verified token describes, and how the token is remembered."""

    subject: str  # shortened, without what a log or a page would not show
    digest: bytes
    expires_at: int  # seconds since the epoch


def read_subject_token(token: str) -> CompactJws:
    """The parts of a token that is not verified yet. Raises AnswerRefused."""
    if len(token) > LONGEST_SUBJECT_TOKEN or not token.isascii():
        refuse("token is too long or not ASCII")
    try:
        parts = read_compact(token.encode())
    except BadJws as error:
        raise AnswerRefused(str(error)) from error
    kind = parts.header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        refuse("token is of another type")
    return parts


def verify(token: str, parts: CompactJws, jwk: Mapping[str, Any], trust: Trust, now: float) -> Workload:
    """The workload, when the token is signed with this key and says what the rule asks for. Raises AnswerRefused."""
    try:
        signed(token, dict(jwk))
    except FAULTS as error:
        raise AnswerRefused(f"signature: {type(error).__name__}") from error
    claims = parts.claims
    if claims.get("iss") != trust.issuer:
        refuse("another issuer")
    if claims.get("aud") not in (trust.audience, [trust.audience]):  # of several, each could send it on to us
        refuse("another audience")
    expires_at = _checked_times(claims, now)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        refuse("no subject")
    missing = unmet(trust.claims, claims)
    if missing is not None:
        refuse(f"claim {missing} does not match the rule")
    return Workload(_shortened(subject), _digest(parts), expires_at)


def _checked_times(claims: Mapping[str, Any], now: float) -> int:
    """When the token expires."""
    issued, expires = _seconds(claims, "iat"), _seconds(claims, "exp")
    if issued > now + LEEWAY or ("nbf" in claims and _seconds(claims, "nbf") > now + LEEWAY):
        refuse("not valid yet")
    if not 0 < expires - issued <= LONGEST_LIFE:
        refuse("unexpected lifetime")
    if expires <= now:
        refuse("expired")
    return expires


def _seconds(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int:  # a bool is an int to isinstance
        refuse(f"{name} is not a whole number")
    return value


def _digest(parts: CompactJws) -> bytes:
    """By the token's own id, or else by what is signed: a signature can be written in several ways."""
    own = parts.claims.get("jti")
    if isinstance(own, str) and own:
        return sha256(b"jti " + own.encode("utf-8", "surrogatepass")).digest()
    return sha256(b"jws " + parts.signed).digest()


def _shortened(subject: str) -> str:
    return "".join(each for each in subject[:_LONGEST_SUBJECT] if each.isprintable())
