"""The identity stage of the gate: it finds the principal or operator of a request."""

from collections.abc import Awaitable
from functools import lru_cache
from typing import Protocol
from uuid import UUID

from gateway.identity.credential import read_credential, sent_credentials
from gateway.identity.ending import warnings_of
from gateway.identity.principals import Principals
from gateway.identity.turns import Turn
from gateway.request.context import RequestContext
from gateway.request.fields import Credential
from tenants.audit.origin import Origin
from tenants.credentials import CredentialRevoked
from tenants.directory.errors import TenantSuspended
from tenants.errors import ErrorKind, TenantryError, Unavailable
from tenants.identifiers import TenantId
from tenants.principal import Actor, Operator, Principal, TenantRef, TenantStatus
from tenants.values.networks import Address, Network, plain_address

_MIGRATION_RETRY = 60  # seconds: Retry-After of a tenant whose schema is older than this release can serve
_CACHED_ADDRESSES = 16_384
REVOKED_KEY_USED, ADDRESS_REFUSED = "api_keys.revoked_key_used", "api_keys.address_refused"  # actions


class IpNotAllowed(TenantryError):
    kind = ErrorKind.FORBIDDEN
    code = "ip_not_allowed"
    title = "Address not allowed"
    message = "The API key must not be used from this address."


class Failures(Protocol):
    """Limits failed credentials by source. ``sent`` is the header value that carries the credential."""

    def turn(self, source: str, sent: bytes) -> Turn | None:
        """What a credential has to wait for before it is checked; None is nothing."""

    def refused(self, source: str, sent: bytes, error: TenantryError) -> TenantryError:
        """Count a failed credential, and return what to answer."""

    def record_success(self, sent: bytes) -> None:
        """Record a good credential."""


class RefusalLog(Protocol):
    """Records refusals in the audit logs of tenants."""

    def note(self, tenant: TenantId, action: str, object_id: UUID, origin: Origin) -> None:
        """Count a refusal; never waits."""


class IdentityStage:
    """Stores the principal or the operator in the context. Without a credential both stay None.

    Raises CredentialInvalid, CredentialExpired, CredentialRevoked, TenantSuspended, IpNotAllowed, and Unavailable when
    the credential cannot be looked up; RateLimited in place of CredentialInvalid for a source with too many failures.
    """

    def __init__(self, principals: Principals, failures: Failures, refusals: RefusalLog) -> None:
        self._principals = principals
        self._failures = failures
        self._refusals = refusals

    def __call__(self, request: RequestContext) -> Awaitable[None] | None:
        credential = request.fields.credential
        if credential is None and request.route is not None and request.route.terms.authenticates:
            return None
        sent = sent_credentials(request.fields) if credential is None else credential.sent
        if sent is None:
            return None
        try:
            if credential is None:
                credential = request.fields.credential = read_credential(sent, request.scope, request.fields)
            subject = self._principals.get(credential.key)
        except TenantryError as error:
            raise self._failures.refused(request.client, sent, error) from error.__cause__
        if subject is None:
            return self._load(request, credential)
        self.identify(request, subject)
        return None

    async def authenticate(self, request: RequestContext, credential: Credential) -> None:
        """As the stage does, for a credential that the endpoint has read from elsewhere."""
        try:
            subject = self._principals.get(credential.key)
        except TenantryError as error:
            raise self._failures.refused(request.client, credential.sent, error) from error.__cause__
        if subject is None:
            await self._load(request, credential)
        else:
            self.identify(request, subject)

    async def turn(self, request: RequestContext, sent: bytes) -> None:
        """Wait until a credential that the endpoint checks by itself may be checked. Raises RateLimited."""
        turn = self._failures.turn(request.client, sent)
        if turn is not None:
            await turn("tokens")

    def refused(self, request: RequestContext, sent: bytes, error: TenantryError) -> TenantryError:
        """Count a credential that an endpoint has refused, and return what to answer."""
        return self._failures.refused(request.client, sent, error)

    async def _load(self, request: RequestContext, credential: Credential) -> None:
        turn = self._failures.turn(request.client, credential.sent)
        try:
            subject = await self._principals.load(credential, request.client, turn)
        except TenantryError as error:
            if error.kind is not ErrorKind.UNAUTHENTICATED:  # an outage is no failure of the caller
                raise
            if isinstance(error, CredentialRevoked) and (holder := self._principals.holder_of(credential.key)):
                self._note(request, holder.tenant, holder.actor, REVOKED_KEY_USED)
            raise self._failures.refused(request.client, credential.sent, error) from error.__cause__
        self._failures.record_success(credential.sent)
        self.identify(request, subject)

    def identify(self, request: RequestContext, subject: Principal | Operator) -> None:
        """Store the subject in the context. Raises TenantSuspended, IpNotAllowed and Unavailable."""
        if isinstance(subject, Operator):
            request.operator = subject
            return
        request.principal = subject  # before the checks: the access log names the refused principal
        if subject.tenant.status is not TenantStatus.ACTIVE:
            check_tenant(subject.tenant)
        if subject.networks:
            try:
                check_address(subject, request.client)
            except IpNotAllowed:
                self._note(request, subject.tenant.id, subject.actor, ADDRESS_REFUSED)
                raise
        if subject.ending is not None:
            request.response_headers.extend(warnings_of(subject.ending))

    def _note(self, request: RequestContext, tenant: TenantId, actor: Actor, action: str) -> None:
        if actor.id is not None:
            self._refusals.note(tenant, action, actor.id, Origin(actor, request.request_id, request.client))


def check_tenant(tenant: TenantRef) -> None:
    """Return when requests of this tenant are served. Raises TenantSuspended and Unavailable."""
    if tenant.status is TenantStatus.SUSPENDED:
        raise TenantSuspended
    if tenant.status is TenantStatus.BEHIND:
        revisions = ", ".join(tenant.revisions) or "none"
        detail = f"tenant {tenant.id} must be migrated first; its schema is at {revisions}"
        raise Unavailable(detail=detail, retry_after=_MIGRATION_RETRY)


def check_address(principal: Principal, client: str) -> None:
    """Return when the principal may be used from this address. Raises IpNotAllowed."""
    if principal.networks and not _is_inside(client, principal.networks):
        raise IpNotAllowed


def _is_inside(client: str, networks: tuple[Network, ...]) -> bool:
    address = _address(client)
    return address is not None and any(address in network for network in networks)


@lru_cache(maxsize=_CACHED_ADDRESSES)
def _address(client: str) -> Address | None:
    try:
        return plain_address(client)
    except ValueError:  # a peer without an address is in no network
        return None
