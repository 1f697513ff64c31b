"""Access tokens: short-lived JWTs of one caller of one tenant (profile of RFC 9068).

A token is a person's, an API key's, or a workload's that a rule of the tenant trusts; the type of its ``sub`` says
which. We issue and verify them, so verification accepts exactly what we issue. A token cannot choose how it is
verified: the algorithm is bound to the key, the key is selected by its exact kid, and any other header member is
rejected, which covers ``jku``, ``x5u``, ``x5c``, ``jwk``, ``crit`` and ``b64`` (RFC 8725).
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry, deserialize_compact

from tenants.credentials import CredentialExpired, CredentialInvalid
from tenants.identifiers import (
    API_KEY,
    TENANT,
    USER,
    WORKLOAD_RULE,
    ApiKeyId,
    SignInId,
    TenantId,
    UserId,
    WorkloadRuleId,
    new_id,
    read,
    show,
)
from tenants.sign_in.signing_keys import ALGORITHM, SigningKeys
from tenants.values.compact_jws import BadJws, read_compact

LONGEST_TOKEN = 8192  # bytes, before anything is decoded
LONGEST_LIFE = 900  # seconds
LONGEST_WORKLOAD_LIFE = 300  # seconds
LEEWAY = 30  # seconds; tolerated clock difference between hosts
TYPE = "at+jwt"

_REGISTRY = JWSRegistry(algorithms=[ALGORITHM])


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """The claims of a verified token of a person."""

    user_id: UserId
    tenant_id: TenantId
    session_id: SignInId | None  # the sign-in that issued it; the token ends with it
    expires_at: float  # seconds since the epoch
    methods: tuple[str, ...]  # of that sign-in (RFC 8176); empty for a token of an older release


@dataclass(frozen=True, slots=True)
class KeyClaims:
    """The claims of a verified token of an API key, with which it ends."""

    key_id: ApiKeyId
    tenant_id: TenantId
    scopes: frozenset[str] | None  # narrower than the key's; None is all that the key may do
    expires_at: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class WorkloadClaims:
    """The claims of a verified token of a workload. It ends with this version of the rule that trusts the workload."""

    rule_id: WorkloadRuleId
    tenant_id: TenantId
    version: int
    scopes: frozenset[str] | None  # narrower than the rule's; None is all that the rule gives
    subject: str  # of the outside token, shortened
    expires_at: float  # seconds since the epoch


Claims = AccessClaims | KeyClaims | WorkloadClaims


@dataclass(frozen=True, slots=True)
class Issued:
    """A new token, and for how many seconds it is valid."""

    token: str
    expires_in: int


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
        self.issuer = issuer
        self.lifetime = lifetime  # seconds
        self._audience = audience
        self._clock = clock

    def issue(self, user: UserId, tenant: TenantId, session: UUID, methods: Sequence[str] = ()) -> str:
        """Issue a token for this person in this tenant, valid for ``lifetime`` seconds.

        ``methods`` are how the person signed in (RFC 8176).
        """
        return self._signed(show(USER, user), tenant, self.lifetime, {"sid": str(session), "amr": list(methods)})

    def issue_for_key(
        self, key: ApiKeyId, tenant: TenantId, scopes: Iterable[str] | None, *, ends_at: float | None = None
    ) -> Issued:
        """Issue a token for this API key, valid for ``lifetime`` seconds and never after ``ends_at``."""
        return self._issued(show(API_KEY, key), tenant, self.lifetime, ends_at, _scope(scopes))

    def issue_for_workload(self, claims: WorkloadClaims, lifetime: int) -> Issued:
        """Issue a token with these claims, valid for ``lifetime`` seconds."""
        members = {"rule_version": claims.version, "workload": claims.subject, **_scope(claims.scopes)}
        seconds = min(lifetime, LONGEST_WORKLOAD_LIFE)
        return self._issued(show(WORKLOAD_RULE, claims.rule_id), claims.tenant_id, seconds, None, members)

    def verify(self, token: bytes) -> Claims:
        """Verify a token and return its claims (ID6).

        Raises CredentialExpired for an expired token of ours, CredentialInvalid for anything else.
        """
        if len(token) > LONGEST_TOKEN:
            _reject("longer than 8 KB")
        try:
            parts = read_compact(token)
            key = self._key_of(parts.header)
            deserialize_compact(token, key, registry=_REGISTRY)
        except BadJws as error:
            raise CredentialInvalid(detail=f"access token: {error}") from error
        except (JoseError, ValueError) as error:
            raise CredentialInvalid(detail=f"access token: {type(error).__name__}") from error
        return self._checked(parts.claims)

    def _issued(
        self, subject: str, tenant: TenantId, lifetime: int, ends_at: float | None, members: Mapping[str, object]
    ) -> Issued:
        left = lifetime if ends_at is None else min(lifetime, int(ends_at - self._clock()))
        if left < 1:
            raise CredentialExpired
        return Issued(self._signed(subject, tenant, left, {"client_id": subject, **members}), left)

    def _signed(self, subject: str, tenant: TenantId, lifetime: int, members: Mapping[str, object]) -> str:
        now = int(self._clock())
        claims = {
            "iss": self.issuer,
            "aud": self._audience,
            "sub": subject,
            "exp": now + lifetime,
            "iat": now,
            "jti": str(new_id()),
            "tenant": show(TENANT, tenant),
            **members,
        }
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": self.keys.signing_kid}
        return jwt.encode(header, claims, self.keys.signing_key, registry=_REGISTRY, default_type=None)

    def _key_of(self, header: dict[str, Any]) -> OKPKey:
        kid = header.get("kid")
        if not isinstance(kid, str) or header != {"alg": ALGORITHM, "typ": TYPE, "kid": kid}:
            _reject("unexpected header")
        key = self.keys.find(kid)
        if key is None:
            _reject("unknown kid")
        return key

    def _checked(self, claims: dict[str, Any]) -> Claims:
        now = self._clock()
        if claims.get("iss") != self.issuer or claims.get("aud") != self._audience:
            _reject("another issuer or audience")
        issued, expires = _seconds(claims, "iat"), _seconds(claims, "exp")
        if issued > now + LEEWAY or not 0 < expires - issued <= LONGEST_LIFE:
            _reject("unexpected lifetime")
        if "nbf" in claims and _seconds(claims, "nbf") > now + LEEWAY:
            _reject("not valid yet")
        tenant = read(TENANT, _text(claims, "tenant"))
        if tenant is None or not _text(claims, "jti"):
            _reject("unexpected ids")
        found = _claims(claims, TenantId(tenant), expires - issued)
        if expires <= now:
            raise CredentialExpired
        return found


def _claims(claims: dict[str, Any], tenant: TenantId, life: int) -> Claims:
    """By the type of the subject, which no other member can change."""
    subject, expires_at = _text(claims, "sub"), float(claims["exp"])
    if (user := read(USER, subject)) is not None:
        return AccessClaims(UserId(user), tenant, _session(claims), expires_at, _methods(claims))
    if claims.get("client_id") != subject:  # RFC 9068 section 2.2
        _reject("unexpected client")
    if (key := read(API_KEY, subject)) is not None:
        return KeyClaims(ApiKeyId(key), tenant, _scopes(claims), expires_at)
    rule = read(WORKLOAD_RULE, subject)
    if rule is None or life > LONGEST_WORKLOAD_LIFE:
        _reject("unexpected ids")
    version, workload = _seconds(claims, "rule_version"), _text(claims, "workload")
    return WorkloadClaims(WorkloadRuleId(rule), tenant, version, _scopes(claims), workload, expires_at)


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


def _scope(scopes: Iterable[str] | None) -> dict[str, str]:
    return {} if scopes is None else {"scope": " ".join(sorted(scopes))}  # RFC 8693 section 4.2


def _scopes(claims: dict[str, Any]) -> frozenset[str] | None:
    return frozenset(_text(claims, "scope").split(" ")) if "scope" in claims else None


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
