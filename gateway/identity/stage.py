"""The stage of a request that finds out who asks."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.identity.credential import find_credential
from gateway.identity.principals import Principals
from gateway.request_context import RequestContext, context_of
from tenants.directory.errors import TenantSuspended
from tenants.errors import ErrorKind, TenantryError, Unavailable
from tenants.principal import Operator, Principal, TenantStatus

_BEHIND_FOR = 60  # seconds until a caller may ask again whether a failed migration has been repaired
_REMEMBERED = 16_384  # addresses of clients, parsed


class IpNotAllowed(TenantryError):
    kind = ErrorKind.FORBIDDEN
    code = "ip_not_allowed"
    title = "Address not allowed"
    message = "The key may not be used from this address."


class IdentityStage:
    """Puts the principal or the operator into the request's context. Without a credential both stay None.

    Raises CredentialInvalid, CredentialExpired, CredentialRevoked, TenantSuspended, IpNotAllowed, and Unavailable when
    who asks cannot be found out now. Failed credentials are counted by the stage outside, which sees them raised.
    """

    def __init__(self, app: ASGIApp, principals: Principals) -> None:
        self._app = app
        self._principals = principals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            credential = find_credential(scope["headers"])
            if credential is not None:
                subject = self._principals.recall(credential)
                if subject is None:
                    subject = await self._principals.find(credential)
                _admit(context_of(scope), subject)
        await self._app(scope, receive, send)


def _admit(context: RequestContext, subject: Principal | Operator) -> None:
    if isinstance(subject, Operator):
        context.operator = subject
        return
    context.principal = subject  # before it is weighed: the access log names who was turned away
    if subject.tenant.status is TenantStatus.SUSPENDED:
        raise TenantSuspended
    if subject.tenant.status is not TenantStatus.ACTIVE:
        raise Unavailable(detail=f"tenant {subject.tenant.id} is {subject.tenant.status}", retry_after=_BEHIND_FOR)
    if subject.networks and not _is_inside(context.client, subject.networks):
        raise IpNotAllowed


def _is_inside(client: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    address = _address(client)
    return address is not None and any(address in network for network in networks)


@lru_cache(maxsize=_REMEMBERED)
def _address(client: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(client)
    except ValueError:  # a peer without an address is in no network
        return None
