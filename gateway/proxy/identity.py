"""``Tenantry-Identity``: who asks, as a JWT that upstreams verify with ``/.well-known/jwks.json``.

It is signed by the keys of access tokens and is none: ``typ`` and ``aud`` differ, and neither is accepted as the other.
It is valid for at most 60 seconds, and for as long as the credential is. One token serves all requests of a principal
to an upstream for two thirds of its life (docs/decisions/0051-the-identity-token.md).
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, Protocol

from joserfc import jwt
from joserfc.jws import JWSRegistry

from tenants.identifiers import API_KEY, OPERATOR_KEY, TENANT, USER, WORKLOAD_RULE, show
from tenants.principal import Principal, PrincipalKind
from tenants.routes.schemas import IdentityClaim
from tenants.sign_in.signing_keys import ALGORITHM, SigningKeys

TYPE: Final = "tenantry-identity+jwt"
LONGEST_LIFE: Final = 60  # seconds
_REUSED: Final = 2 / 3  # of its life
_MOST_CACHED = 5_000  # tokens of one upstream, of some 700 bytes each

_REGISTRY = JWSRegistry(algorithms=[ALGORITHM])
_PREFIXES = {
    PrincipalKind.API_KEY: API_KEY,
    PrincipalKind.USER: USER,
    PrincipalKind.OPERATOR: OPERATOR_KEY,
    PrincipalKind.WORKLOAD: WORKLOAD_RULE,
}


class Issuer(Protocol):
    """The part of ``AccessTokens`` that is used."""

    keys: SigningKeys
    issuer: str


class PlanFeatures(Protocol):
    """A plan."""

    @property
    def features(self) -> Mapping[str, object]: ...


class Plans(Protocol):
    """The plan cache."""

    def plan(self, code: str) -> PlanFeatures:
        """The same object until the plan changes."""
        ...


class _Signed(NamedTuple):
    principal: Principal  # kept, so that no other object can get its id
    plan: PlanFeatures | None
    until: float  # seconds since the epoch, to which it is reused
    token: bytes


class IdentityTokens:
    """Issues identity tokens of this deployment. Raises PlanNotLoaded where features are wanted of an unknown plan."""

    def __init__(self, issuer: Issuer, plans: Plans, clock: Callable[[], float] = time.time) -> None:
        self._issuer = issuer
        self._plans = plans
        self._clock = clock
        self._signers: dict[tuple[str, frozenset[IdentityClaim]], IdentitySigner] = {}

    def signer(self, audience: str, claims: Iterable[IdentityClaim] = ()) -> "IdentitySigner":
        """For one upstream, with these claims. Routes that want the same share one."""
        wanted = frozenset(claims)
        found = self._signers.get((audience, wanted))
        if found is None:
            found = self._signers[audience, wanted] = IdentitySigner(
                self._issuer, self._plans, self._clock, audience, wanted
            )
        return found


class IdentitySigner:
    """Tokens for one upstream."""

    def __init__(
        self,
        issuer: Issuer,
        plans: Plans,
        clock: Callable[[], float],
        audience: str,
        claims: frozenset[IdentityClaim],
    ) -> None:
        self._issuer = issuer
        self._plans = plans
        self._clock = clock
        self._audience = audience
        self._with_plan = IdentityClaim.PLAN in claims
        self._with_features = IdentityClaim.FEATURES in claims
        self._with_request_id = IdentityClaim.REQUEST_ID in claims
        self._signed: dict[int, _Signed] = {}  # by id of the principal, the oldest first

    def value(self, principal: Principal, request_id: str) -> bytes:
        """The token of this principal: the current one, or one for this request where the route asks for its id.

        A change of roles, plan or status makes a new principal, and so a new token: never one that is older.
        """
        now = self._clock()
        if self._with_request_id:
            return self._sign(principal, now, request_id).token
        signed = self._signed.get(id(principal))
        if signed is None or signed.until <= now or (signed.plan is not None and self._has_changed(signed)):
            signed = self._sign(principal, now, "")
            self._keep(signed)
        return signed.token

    def _has_changed(self, signed: _Signed) -> bool:
        return self._plans.plan(signed.principal.tenant.plan) is not signed.plan

    def _keep(self, signed: _Signed) -> None:
        self._signed.pop(id(signed.principal), None)
        if len(self._signed) >= _MOST_CACHED:
            del self._signed[next(iter(self._signed))]
        self._signed[id(signed.principal)] = signed

    def _sign(self, principal: Principal, now: float, request_id: str) -> _Signed:
        plan = self._plans.plan(principal.tenant.plan) if self._with_features else None
        issued = int(now)
        expires = issued + LONGEST_LIFE
        if principal.expires_at is not None:
            expires = max(issued + 1, min(expires, int(principal.expires_at)))
        claims = self._claims(principal, plan, request_id) | {"iat": issued, "exp": expires}
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": self._issuer.keys.signing_kid}
        token = jwt.encode(header, claims, self._issuer.keys.signing_key, registry=_REGISTRY, default_type=None)
        return _Signed(principal, plan, issued + (expires - issued) * _REUSED, token.encode("ascii"))

    def _claims(self, principal: Principal, plan: PlanFeatures | None, request_id: str) -> dict[str, object]:
        tenant = principal.tenant
        claims: dict[str, object] = {
            "iss": self._issuer.issuer,
            "aud": self._audience,
            "sub": show(_PREFIXES[principal.kind], principal.id),
            "kind": principal.kind.value,
            "tenant": show(TENANT, tenant.id),
            "tenant_slug": tenant.slug,
            "roles": list(principal.roles),
        }
        if principal.scopes is not None:
            claims["scope"] = " ".join(sorted(principal.scopes))  # narrower than the roles (RFC 8693 section 4.2)
        if self._with_plan:
            claims["plan"] = tenant.plan
        if plan is not None:
            claims["features"] = dict(plan.features)
        if request_id:
            claims["request_id"] = request_id
        return claims
