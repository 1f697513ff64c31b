"""Access tokens: short-lived JWTs for one person in one tenant (profile of RFC 9068).

We issue and verify them, so verification accepts exactly what we issue. A token cannot choose how it is verified: the
algorithm is bound to the key, the key is selected by its exact kid, and any other header member is rejected, which
covers ``jku``, ``x5u``, ``x5c``, ``jwk``, ``crit`` and ``b64`` (RFC 8725).
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry, deserialize_compact
from joserfc.util import urlsafe_b64decode, urlsafe_b64encode

from tenants.credentials import CredentialExpired, CredentialInvalid
from tenants.identifiers import TENANT, USER, SignInId, TenantId, UserId, new_id, read, show
from tenants.sign_in.signing_keys import ALGORITHM, SigningKeys

LONGEST_TOKEN = 8192  # bytes, before anything is decoded
LONGEST_LIFE = 900  # seconds
LEEWAY = 30  # seconds; tolerated clock difference between hosts
TYPE = "at+jwt"

_REGISTRY = JWSRegistry(algorithms=[ALGORITHM])


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """The claims of a verified token."""

    user_id: UserId
    tenant_id: TenantId
    session_id: SignInId | None  # the sign-in that issued it; the token ends with it
    expires_at: float  # seconds since the epoch
    methods: tuple[str, ...]  # of that sign-in (RFC 8176); empty for a token of an older release


class AccessTokens:
    """Issues and verifies access tokens for one issuer and one audience."""

    def __init__(
        self,
        keys: SigningKeys,
        *,
        issuer: str,
        audience: str,
        lifetime: int = LONGEST_LIFE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not 0 < lifetime <= LONGEST_LIFE:
            raise ValueError(f"access tokens live at most {LONGEST_LIFE} seconds")
        self.keys = keys
        self.lifetime = lifetime  # seconds
        self._issuer = issuer
        self._audience = audience
        self._clock = clock

    def issue(self, user: UserId, tenant: TenantId, session: UUID, methods: Sequence[str] = ()) -> str:
        """Issue a token for this person in this tenant, valid for ``lifetime`` seconds.

        ``methods`` are how the person signed in (RFC 8176).
        """
        now = int(self._clock())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": show(USER, user),
            "exp": now + self.lifetime,
            "iat": now,
            "jti": str(new_id()),
            "tenant": show(TENANT, tenant),
            "sid": str(session),
            "amr": list(methods),
        }
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": self.keys.signing_kid}
        return jwt.encode(header, claims, self.keys.signing_key, registry=_REGISTRY, default_type=None)

    def verify(self, token: bytes) -> AccessClaims:
        """Verify a token and return its claims (ID6).

        Raises CredentialExpired for an expired token of ours, CredentialInvalid for anything else.
        """
        if len(token) > LONGEST_TOKEN:
            _reject("longer than 8 KB")
        segments = token.split(b".")
        if len(segments) != 3:  # noqa: PLR2004 - header, payload, signature (RFC 7515 section 3.1)
            _reject("not three segments")
        header, claims, _ = map(_decoded, segments, ("header", "payload", "signature"))
        key = self._key_of(_loads(header, "header"))
        try:
            deserialize_compact(token, key, registry=_REGISTRY)
        except (JoseError, ValueError) as error:
            raise CredentialInvalid(detail=f"access token: {type(error).__name__}") from error
        return self._checked(_loads(claims, "payload"))

    def _key_of(self, header: dict[str, Any]) -> OKPKey:
        kid = header.get("kid")
        if not isinstance(kid, str) or header != {"alg": ALGORITHM, "typ": TYPE, "kid": kid}:
            _reject("unexpected header")
        key = self.keys.find(kid)
        if key is None:
            _reject("unknown kid")
        return key

    def _checked(self, claims: dict[str, Any]) -> AccessClaims:
        now = self._clock()
        if claims.get("iss") != self._issuer or claims.get("aud") != self._audience:
            _reject("another issuer or audience")
        issued, expires = _seconds(claims, "iat"), _seconds(claims, "exp")
        if issued > now + LEEWAY or not 0 < expires - issued <= LONGEST_LIFE:
            _reject("unexpected lifetime")
        if "nbf" in claims and _seconds(claims, "nbf") > now + LEEWAY:
            _reject("not valid yet")
        user, tenant = read(USER, _text(claims, "sub")), read(TENANT, _text(claims, "tenant"))
        if user is None or tenant is None or not _text(claims, "jti"):
            _reject("unexpected ids")
        if expires <= now:
            raise CredentialExpired
        return AccessClaims(UserId(user), TenantId(tenant), _session(claims), float(expires), _methods(claims))


def _decoded(segment: bytes, name: str) -> bytes:
    """The content of a segment, which has one spelling, whatever a decoder tolerates."""
    try:
        content = urlsafe_b64decode(segment)
    except ValueError as error:
        raise CredentialInvalid(detail=f"access token: {name} is not base64url") from error
    if urlsafe_b64encode(content) != segment:
        _reject(f"{name} is not canonical base64url")
    return content


def _loads(content: bytes, name: str) -> dict[str, Any]:
    """Parse UTF-8 without a byte order mark (RFC 8259 section 8.1): given bytes, ``json`` would guess an encoding."""
    try:
        text = content.decode("utf-8")
        found = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CredentialInvalid(detail=f"access token: {name} is not JSON in UTF-8") from error
    if not isinstance(found, dict):
        _reject(f"{name} is not an object")
    return found


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # parsers differ in which of the two they use
        raise ValueError("duplicate member name")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _seconds(claims: dict[str, Any], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int:  # a bool is an int to isinstance
        _reject(f"{name} is not a whole number")
    return value


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str):
        _reject(f"{name} is not text")
    return value


def _methods(claims: dict[str, Any]) -> tuple[str, ...]:
    # An older release issued tokens without them.
    methods = claims.get("amr", [])
    if not isinstance(methods, list) or not all(isinstance(each, str) for each in methods):
        _reject("amr is not a list of texts")
    return tuple(methods)


def _session(claims: dict[str, Any]) -> SignInId | None:
    if "sid" not in claims:
        return None
    try:
        return SignInId(UUID(_text(claims, "sid")))
    except ValueError as error:
        raise CredentialInvalid(detail="access token: sid is not an id") from error


def _reject(reason: str) -> NoReturn:
    raise CredentialInvalid(detail=f"access token: {reason}")
