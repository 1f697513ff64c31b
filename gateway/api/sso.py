"""``/v1/sso``: the tenant's connection to its identity provider, and its mail domains."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from gateway.api.answers import answered, created, read
from gateway.api.grantors import grantor_of
from gateway.api.pages import ListCursors, ListQuery, Page
from gateway.api.path_ids import SsoDomainInPath
from gateway.authorization.guards import requires
from gateway.request.context import principal_of
from gateway.request.entity_tags import Tagged, representation_of
from gateway.request.origin import origin_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.identifiers import TenantId
from tenants.roles.errors import ExceedsOwn
from tenants.sso.connections import ExpectedVersions
from tenants.sso.errors import (
    DnsUnavailable,
    DomainNotProven,
    DomainProvenElsewhere,
    DomainTaken,
    NothingToEnforce,
    TooManyDomains,
)
from tenants.sso.models import SsoDomain
from tenants.sso.schemas import AddDomain, ConfigureConnection, ConnectionResponse, SsoDomainResponse

_CONNECTION = "/v1/sso/connection"
_DOMAINS = "/v1/sso/domains"
_DOMAIN = f"{_DOMAINS}/{{domain_id}}"
_CONNECTION_REPRESENTATION = representation_of(ConnectionResponse)
_DOMAIN_REPRESENTATION = representation_of(SsoDomainResponse)
_ALSO_CREATED: dict[int | str, dict[str, Any]] = {201: {"model": ConnectionResponse}}

router = ManagementRouter(tags=["single sign-on"])


@router.get(_CONNECTION, response_model=ConnectionResponse)
@terms(requires("sso:manage"), tagged=True)
async def read_sso_connection(request: Request) -> Response:
    """Read the connection to the identity provider. The client's secret is never returned."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    connections = services.features.people.sso.connections
    async with services.database.control(tenant) as session:
        found = await connections.read(session, tenant.id)
    response = ConnectionResponse.of(found, connections.redirect_uri)
    return read(request, response, _connection_tag(found.id, tenant.id), found.version)


@router.put(_CONNECTION, response_model=ConnectionResponse, responses=_ALSO_CREATED)
@terms(requires("sso:manage"), tagged=True, errors=(ExceedsOwn, NothingToEnforce), ends_rights=True)
async def configure_sso_connection(request: Request, body: ConfigureConnection) -> Response:
    """Create or replace the connection to an OpenID Connect provider. A new issuer is asked for its metadata first.

    Enforcing it ends the sessions that people other than owners have opened by other means. A new issuer ends the
    sessions that the former one has opened, and people are linked again.
    """
    services, tenant = services_of(request), principal_of(request.scope).tenant
    connections = services.features.people.sso.connections
    configured = await connections.configure(
        tenant, grantor_of(request), body, _expected(request, tenant.id), origin=origin_of(request)
    )
    connection = configured.connection
    response = ConnectionResponse.of(connection, connections.redirect_uri)
    tag = services.tags.of(_connection_tag(connection.id, tenant.id), connection.version)
    return created(response, _CONNECTION, tag) if configured.is_new else answered(response, tag)


@router.delete(_CONNECTION, status_code=204)
@terms(requires("sso:manage"), tagged=True, errors=(ExceedsOwn,), ends_rights=True)
async def remove_sso_connection(request: Request) -> Response:
    """Remove the connection. The sessions that it has opened end; a later connection links people again."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        await services.features.people.sso.connections.remove(
            session, tenant.id, grantor_of(request), _expected(request, tenant.id), origin=origin_of(request)
        )
    return Response(status_code=204)


@router.post(_DOMAINS, status_code=201, response_model=SsoDomainResponse)
@terms(requires("sso:manage"), tagged=True, errors=(DomainTaken, TooManyDomains))
async def add_sso_domain(request: Request, body: AddDomain) -> Response:
    """Add a mail domain. Set the TXT record of the response in its DNS, then verify it."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        added = await services.features.people.sso.domains.add(
            session, tenant.id, body.domain, origin=origin_of(request)
        )
    response = SsoDomainResponse.of(added)
    return created(response, f"{_DOMAINS}/{response.id}", services.tags.of(_domain_tag(added), added.version))


@router.get(_DOMAINS, response_model=Page[SsoDomainResponse])
@terms(requires("sso:manage"))
async def list_sso_domains(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """List the mail domains. The newest comes first."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    cursors = ListCursors(services.settings.secret, "sso-domains", tenant.id, query)
    async with services.database.control(tenant) as session:
        rows = await services.features.people.sso.domains.page(session, tenant.id, cursors.keyset())
    return answered(cursors.page(rows, SsoDomainResponse.of))


@router.get(_DOMAIN, response_model=SsoDomainResponse)
@terms(requires("sso:manage"), tagged=True)
async def read_sso_domain(request: Request, domain_id: SsoDomainInPath) -> Response:
    """Read one mail domain."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        found = await services.features.people.sso.domains.read(session, tenant.id, domain_id)
    return read(request, SsoDomainResponse.of(found), _domain_tag(found), found.version)


@router.post(f"{_DOMAIN}/verify", response_model=SsoDomainResponse)
@terms(requires("sso:manage"), tagged=True, errors=(DomainNotProven, DomainProvenElsewhere, DnsUnavailable))
async def verify_sso_domain(request: Request, domain_id: SsoDomainInPath) -> Response:
    """Look the TXT record up. Keep the record: a domain without it is proven no more after a week."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    found = await services.features.people.sso.domains.verify(tenant, domain_id, origin=origin_of(request))
    return answered(SsoDomainResponse.of(found), services.tags.of(_domain_tag(found), found.version))


@router.delete(_DOMAIN, status_code=204)
@terms(requires("sso:manage"), tagged=True)
async def remove_sso_domain(request: Request, domain_id: SsoDomainInPath) -> Response:
    """Remove a mail domain. Its people can no longer sign in through the identity provider."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    tagged = Tagged(_DOMAIN_REPRESENTATION, domain_id.bytes, tenant.id.bytes)
    expected = services.tags.expected(tagged, request.scope)
    async with services.database.control(tenant) as session:
        await services.features.people.sso.domains.remove(
            session, tenant.id, domain_id, origin=origin_of(request), versions=expected
        )
    return Response(status_code=204)


def _expected(request: Request, tenant: TenantId) -> ExpectedVersions:
    """What If-Match says of the connection that is there, which a removed and a new one do not share."""
    tags = services_of(request).tags
    return lambda connection: tags.expected(_connection_tag(connection, tenant), request.scope)


def _connection_tag(connection: UUID, tenant: TenantId) -> Tagged:
    return Tagged(_CONNECTION_REPRESENTATION, connection.bytes, tenant.bytes)


def _domain_tag(domain: SsoDomain) -> Tagged:
    return Tagged(_DOMAIN_REPRESENTATION, domain.id.bytes, domain.tenant_id.bytes)
