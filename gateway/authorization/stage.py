"""The stage that asks who may call the route: the last before it is called."""

from gateway.authorization.authorizer import Authorizer
from gateway.authorization.guards import admit
from gateway.request.context import RequestContext


class AuthorizationStage:
    """Raises CredentialMissing and Forbidden. A request without a route may do nothing (AZ1)."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def __call__(self, request: RequestContext) -> None:
        if request.route is None:
            raise LookupError("no stage has found a route")
        admit(request, request.route.guard, self._authorizer)
