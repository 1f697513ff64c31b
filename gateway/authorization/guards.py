"""What stands on every route: ``requires(...)``, ``requires_principal``, ``requires_operator``, ``public``.

A route with none of them fails a test. The gate asks the guard of a route before anything of the request is read;
FastAPI asks it again as a dependency, so that no route is open however it is reached.
"""

from typing import cast

from fastapi import Request

from gateway.authorization.authorizer import Authorizer
from gateway.request.context import RequestContext, context_of
from gateway.request.route import PUBLIC, Audience, Guard
from tenants.credentials import CredentialMissing
from tenants.errors import Forbidden


def admit(request: RequestContext, guard: Guard, authorizer: Authorizer) -> None:
    """Return when the guard lets the request pass.

    Raises CredentialMissing without a credential, Forbidden for another audience or without the permission.
    """
    if guard.audience is Audience.TENANTS:
        if request.principal is None:
            raise Forbidden if request.operator else CredentialMissing
        if guard.permission is not None and not authorizer.allows(request.principal, guard.permission):
            raise Forbidden
    elif guard.audience is Audience.OPERATORS and request.operator is None:
        raise Forbidden if request.principal else CredentialMissing


def authorizer_of(request: Request) -> Authorizer:
    """The one authorizer of the process, put there by ``gateway/app.py``."""
    return cast("Authorizer", request.app.state.authorizer)


class GuardDependency:
    """A guard as FastAPI takes it: ``dependencies=[Depends(public)]``."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    async def __call__(self, request: Request) -> None:
        """Raises what ``admit`` raises."""
        admit(context_of(request.scope), self.guard, authorizer_of(request))


class requires(GuardDependency):  # noqa: N801 - reads as the word it is at the endpoint
    """``dependencies=[Depends(requires("contacts:read"))]``: a tenant principal whose roles and scopes allow it."""

    def __init__(self, permission: str) -> None:
        super().__init__(Guard(Audience.TENANTS, permission))


requires_principal = GuardDependency(Guard(Audience.TENANTS))  # any caller of a tenant, whatever its roles
requires_operator = GuardDependency(Guard(Audience.OPERATORS))
public = GuardDependency(PUBLIC)  # open to everybody on purpose
