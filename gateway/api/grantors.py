"""The caller of a request as one who grants roles."""

from fastapi import Request

from gateway.request.context import principal_of
from gateway.services import services_of
from tenants.principal import PrincipalKind
from tenants.roles.grants import Grantor


def grantor_of(request: Request) -> Grantor | None:
    """The caller's roles, and all that it may do, its scopes considered.

    None for an operator who acts for the tenant, as for every other way in which the SaaS's own staff grant roles.
    """
    principal = principal_of(request.scope)
    if principal.kind is PrincipalKind.OPERATOR:
        return None
    return Grantor(principal.roles, frozenset(services_of(request).authorizer.permissions_of(principal)))
