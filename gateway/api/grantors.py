"""The caller of a request as one who grants roles."""

from fastapi import Request

from gateway.request.context import principal_of
from gateway.services import services_of
from tenants.roles.grants import Grantor


def grantor_of(request: Request) -> Grantor:
    """The caller's roles, and all that it may do, its scopes considered."""
    principal = principal_of(request.scope)
    return Grantor(principal.roles, frozenset(services_of(request).authorizer.permissions_of(principal)))
