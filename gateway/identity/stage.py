"""The stage of a request that finds out who asks."""

from collections.abc import Awaitable, Collection
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Protocol

from gateway.identity.credential import read_credential, sent_credentials
from gateway.identity.principals import Principals
from gateway.request.context import RequestContext
from gateway.request.fields import Credential
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


class Failures(Protocol):
    """What failed credentials cost their sender, as the edge keeps it. ``sent`` is what the request carried."""

    @property
    def sources(self) -> Collection[str]:
        """From where some have failed."""
        ...

    def refuse_repeated(self, source: str, sent: bytes) -> None:
        """Raise RateLimited when too many have failed from there."""

    def count(self, source: str, sent: bytes) -> None:
        """Remember that this one has failed."""

    def clear(self, sent: bytes) -> None:
        """Remember that this one is good."""


class IdentityStage:
    """Puts the principal or the operator into the request's context. Without a credential both stay None.

    Raises CredentialInvalid, CredentialExpired, CredentialRevoked, TenantSuspended, IpNotAllowed, and Unavailable when
    who asks cannot be found out now; RateLimited, before any of these, for a source whose credentials fail too often.
    """

    def __init__(self, principals: Principals, failures: Failures) -> None:
        self._principals = principals
        self._failures = failures

    def __call__(self, request: RequestContext) -> Awaitable[None] | None:
        credential = request.fields.credential
        sent = sent_credentials(request.fields) if credential is None else credential.sent
        if sent is None:
            return None
        if self._failures.sources:
            self._failures.refuse_repeated(request.client, sent)
        try:
            if credential is None:
                credential = request.fields.credential = read_credential(sent, request.scope, request.fields)
            subject = self._principals.recall(credential.key)
        except TenantryError:
            self._failures.count(request.client, sent)
            raise
        if subject is None:
            return self._find(request, credential)
        _admit(request, subject)
        return None

    async def _find(self, request: RequestContext, credential: Credential) -> None:
        try:
            subject = await self._principals.find(credential, request.client)
        except TenantryError as error:
            if error.kind is ErrorKind.UNAUTHENTICATED:  # an outage is nobody's failure
                self._failures.count(request.client, credential.sent)
            raise
        self._failures.clear(credential.sent)
        _admit(request, subject)


def _admit(request: RequestContext, subject: Principal | Operator) -> None:
    if isinstance(subject, Operator):
        request.operator = subject
        return
    request.principal = subject  # before it is weighed: the access log names who was turned away
    if subject.tenant.status is not TenantStatus.ACTIVE:
        _refuse_tenant(subject)
    if subject.networks and not _is_inside(request.client, subject.networks):
        raise IpNotAllowed


def _refuse_tenant(principal: Principal) -> None:
    if principal.tenant.status is TenantStatus.SUSPENDED:
        raise TenantSuspended
    raise Unavailable(detail=f"tenant {principal.tenant.id} is {principal.tenant.status}", retry_after=_BEHIND_FOR)


def _is_inside(client: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    address = _address(client)
    return address is not None and any(address in network for network in networks)


@lru_cache(maxsize=_REMEMBERED)
def _address(client: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(client)
    except ValueError:  # a peer without an address is in no network
        return None
