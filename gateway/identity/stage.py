"""The identity stage of the gate: it finds the principal or operator of a request."""

from collections.abc import Awaitable, Collection
from functools import lru_cache
from typing import Protocol

from gateway.identity.credential import read_credential, sent_credentials
from gateway.identity.principals import Principals
from gateway.request.context import RequestContext
from gateway.request.fields import Credential
from tenants.directory.errors import TenantSuspended
from tenants.errors import ErrorKind, TenantryError, Unavailable
from tenants.principal import Operator, Principal, TenantStatus
from tenants.values.networks import Address, Network, plain_address

_MIGRATION_RETRY = 60  # seconds: Retry-After of a tenant whose schema must be migrated first
_CACHED_ADDRESSES = 16_384


class IpNotAllowed(TenantryError):
    kind = ErrorKind.FORBIDDEN
    code = "ip_not_allowed"
    title = "Address not allowed"
    message = "The API key must not be used from this address."


class Failures(Protocol):
    """Limits failed credentials by source. ``sent`` is the header value that carries the credential."""

    @property
    def sources(self) -> Collection[str]:
        """Sources with failed credentials."""
        ...

    def check(self, source: str, sent: bytes) -> None:
        """Raise RateLimited if too many credentials of this source have failed."""

    def record_failure(self, source: str, sent: bytes) -> None:
        """Record a failed credential."""

    def record_success(self, sent: bytes) -> None:
        """Record a good credential."""


class IdentityStage:
    """Stores the principal or the operator in the context. Without a credential both stay None.

    Raises CredentialInvalid, CredentialExpired, CredentialRevoked, TenantSuspended, IpNotAllowed, and Unavailable when
    the credential cannot be looked up; RateLimited, before any of these, for a source with too many failures.
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
            self._failures.check(request.client, sent)
        try:
            if credential is None:
                credential = request.fields.credential = read_credential(sent, request.scope, request.fields)
            subject = self._principals.get(credential.key)
        except TenantryError:
            self._failures.record_failure(request.client, sent)
            raise
        if subject is None:
            return self._load(request, credential)
        _identify(request, subject)
        return None

    async def _load(self, request: RequestContext, credential: Credential) -> None:
        try:
            subject = await self._principals.load(credential, request.client)
        except TenantryError as error:
            if error.kind is ErrorKind.UNAUTHENTICATED:  # an outage is no failure of the caller
                self._failures.record_failure(request.client, credential.sent)
            raise
        self._failures.record_success(credential.sent)
        _identify(request, subject)


def _identify(request: RequestContext, subject: Principal | Operator) -> None:
    if isinstance(subject, Operator):
        request.operator = subject
        return
    request.principal = subject  # before the checks: the access log names the refused principal
    if subject.tenant.status is not TenantStatus.ACTIVE:
        _refuse_tenant(subject)
    if subject.networks and not _is_inside(request.client, subject.networks):
        raise IpNotAllowed


def _refuse_tenant(principal: Principal) -> None:
    if principal.tenant.status is TenantStatus.SUSPENDED:
        raise TenantSuspended
    raise Unavailable(detail=f"tenant {principal.tenant.id} is {principal.tenant.status}", retry_after=_MIGRATION_RETRY)


def _is_inside(client: str, networks: tuple[Network, ...]) -> bool:
    address = _address(client)
    return address is not None and any(address in network for network in networks)


@lru_cache(maxsize=_CACHED_ADDRESSES)
def _address(client: str) -> Address | None:
    try:
        return plain_address(client)
    except ValueError:  # a peer without an address is in no network
        return None
