"""The stage that asks who may call the route: the last one before the route is called, and the only one that asks."""

from typing import Protocol

from gateway.authorization.authorizer import Authorizer
from gateway.request.context import RequestContext
from gateway.request.route import Audience, Guard
from tenants.credentials import CredentialMissing
from tenants.errors import Forbidden
from tenants.identifiers import USER, read
from tenants.principal import Principal, PrincipalKind

_TENANTS = Audience.TENANTS  # an attribute of an Enum is a slow look-up in Python 3.11


class DecisionCounts(Protocol):
    """Counts the decisions about a permission, for changes of roles to be judged against. Neither waits nor fails."""

    def allowed(self, principal: Principal, permission: str) -> None: ...

    def denied(self, principal: Principal, permission: str) -> None: ...


class _NoCounts:
    """Of decisions that no request waits for."""

    def allowed(self, principal: Principal, permission: str) -> None: ...

    def denied(self, principal: Principal, permission: str) -> None: ...


NO_COUNTS: DecisionCounts = _NoCounts()


class AuthorizationStage:
    """Applies the guard of the request's route. A request without a route may do nothing (AZ1)."""

    def __init__(self, authorizer: Authorizer, counts: DecisionCounts = NO_COUNTS) -> None:
        self._authorizer = authorizer
        self._counts = counts

    def __call__(self, request: RequestContext) -> None:
        """Raise CredentialMissing or Forbidden unless the guard admits the request."""
        if request.route is None:
            raise LookupError("no stage has found a route")
        admit(request, request.route.terms.guard, self._authorizer, self._counts)


def admit(request: RequestContext, guard: Guard, authorizer: Authorizer, counts: DecisionCounts = NO_COUNTS) -> None:
    """Return when the guard admits the request. The decision about its permission is counted, where it decides.

    Raises CredentialMissing without a credential, Forbidden for another audience or without the permission.
    """
    if guard.audience is _TENANTS:
        principal, permission = request.principal, guard.permission
        if principal is None:
            raise Forbidden if request.operator else CredentialMissing
        if guard.people_only and principal.kind is not PrincipalKind.USER:
            raise Forbidden("The access token of a person is required; an API key does not suffice.")
        if permission is None or guard.for_others or (guard.own is not None and _is_own(request, guard, principal)):
            return
        if not authorizer.allows(principal, permission):
            counts.denied(principal, permission)
            # The permission is the route's, which the OpenAPI document names too: it tells the caller nothing new.
            request.log["missing_permission"] = permission
            raise _missing(permission)
        counts.allowed(principal, permission)
    elif guard.audience is Audience.OPERATORS or (guard.operator_roles and (request.operator or request.principal)):
        if request.operator is None:
            raise Forbidden if request.principal else CredentialMissing
        if request.operator.role not in guard.operator_roles:
            raise _missing_role(guard)


def check_permission(
    principal: Principal, permission: str, authorizer: Authorizer, counts: DecisionCounts = NO_COUNTS
) -> None:
    """Raise Forbidden unless the principal has the permission, where the body decides whether it is needed."""
    if not authorizer.allows(principal, permission):
        counts.denied(principal, permission)
        raise _missing(permission)
    counts.allowed(principal, permission)


def _is_own(request: RequestContext, guard: Guard, principal: Principal) -> bool:
    """Whether the path names the caller, who is a person. A key that the person has made is not the person."""
    if principal.kind is not PrincipalKind.USER:
        return False
    return read(USER, request.scope.get("path_params", {}).get(guard.own, "")) == principal.id


def _missing_role(guard: Guard) -> Forbidden:
    roles = " or ".join(sorted(guard.operator_roles))
    return Forbidden(f"An operator key with the role {roles} is required.")


def _missing(permission: str) -> Forbidden:
    return Forbidden(f"Permission {permission} is required.")
