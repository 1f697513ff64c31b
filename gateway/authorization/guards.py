"""What stands on every route: ``requires(...)``, ``requires_principal``, ``requires_operator``, ``public``.

A route with none of them fails a test.
"""

from typing import cast

from fastapi import Request

from gateway.authorization.authorizer import Authorizer
from gateway.request_context import context_of
from tenants.credentials import CredentialMissing
from tenants.errors import Forbidden
from tenants.principal import Principal


def authorizer_of(request: Request) -> Authorizer:
    """The one authorizer of the process, put there by ``gateway/app.py``."""
    return cast("Authorizer", request.app.state.authorizer)


class requires:  # noqa: N801 - reads as the word it is at the endpoint
    """``dependencies=[Depends(requires("contacts:read"))]``: a tenant principal whose roles and scopes allow it."""

    def __init__(self, permission: str) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> None:
        """Raises CredentialMissing without a credential, Forbidden without the permission."""
        if not authorizer_of(request).allows(_principal(request), self.permission):
            raise Forbidden


async def requires_principal(request: Request) -> None:
    """Any caller of a tenant, whatever its roles. Raises CredentialMissing without a credential."""
    _principal(request)


async def requires_operator(request: Request) -> None:
    """The SaaS's own staff. Raises CredentialMissing without a credential, Forbidden for anybody else."""
    context = context_of(request.scope)
    if context.operator is None:
        raise Forbidden if context.principal else CredentialMissing


async def public() -> None:
    """Says that a route is open to everybody on purpose."""


def _principal(request: Request) -> Principal:
    context = context_of(request.scope)
    if context.principal is None:
        raise Forbidden if context.operator else CredentialMissing
    return context.principal
