"""``Tenantry-Identity`` of requests that are decided here and served elsewhere."""

from collections.abc import Iterable
from typing import Protocol

from gateway.request.context import RequestContext
from tenants.principal import Principal
from tenants.routes.schemas import IdentityClaim


class Signer(Protocol):
    """Signs tokens for one audience, each once for a principal."""

    def value(self, principal: Principal, request_id: str) -> bytes:
        """The current token of the principal."""
        ...


class Tokens(Protocol):
    """Issues the identity tokens of this deployment, as ``gateway/proxy/identity.py`` does."""

    def signer(self, audience: str, claims: Iterable[IdentityClaim] = ()) -> Signer:
        """The signer for this audience, with these claims."""
        ...


class DecidedIdentities:
    """The audience is the upstream of the request's route; ``audience`` where it has none."""

    def __init__(self, tokens: Tokens, audience: str) -> None:
        self._tokens = tokens
        self._audience = audience
        self._signer = tokens.signer(audience, (IdentityClaim.PLAN,))

    def of(self, request: RequestContext) -> bytes | None:
        """The token for the principal of an admitted request; None without one."""
        principal, route = request.principal, request.route
        if principal is None:
            return None
        spec = None if route is None else route.spec
        if spec is None:
            return self._signer.value(principal, request.request_id)
        return self._tokens.signer(spec.upstream or self._audience, spec.identity).value(principal, request.request_id)
