"""``/v1/auth/token``: short-lived tokens for programs (RFC 6749 section 4.4, RFC 8693), and the metadata (RFC 8414).

An API key is the secret of a client, whose token is the key's: it never outlives the key. A workload has no secret: the
token that an outside issuer has signed for it is exchanged, by the one rule that ``client_id`` names.
"""

import time
from collections.abc import Collection
from typing import Annotated, Literal

import orjson
from fastapi import Request, Response
from pydantic import BaseModel, Field

from gateway.api.token_form import (
    ACCESS_TOKEN,
    CLIENT_CREDENTIALS,
    TOKEN_BODY,
    TOKEN_EXCHANGE,
    read_exchange,
)
from gateway.authorization.guards import public
from gateway.identity.oauth_client import read_client
from gateway.identity.stage import IpNotAllowed
from gateway.request.context import RequestContext, context_of, principal_of
from gateway.request.origin import origin_of
from gateway.request.route import Quota
from gateway.routing.api_router import ManagementRouter, OAuthRouter
from gateway.routing.form import FormExpected, read_form
from gateway.routing.terms import terms
from gateway.services import Services, services_of
from tenants.credentials import CredentialExpired, CredentialRevoked
from tenants.directory.errors import TenantSuspended
from tenants.identifiers import API_KEY, ApiKeyId, show
from tenants.oauth.errors import (
    InvalidClient,
    InvalidScope,
    InvalidTarget,
    InvalidTokenRequest,
    SubjectTokenRefused,
    UnsupportedGrantType,
)
from tenants.oauth.scopes import narrowed
from tenants.principal import Principal
from tenants.sign_in.access_tokens import Issued
from tenants.workloads.errors import IssuerUnavailable
from tenants.workloads.exchange import Exchanged

PATH = "/v1/auth/token"
_PER_SOURCE = Quota(600, 60)  # a minute from one address, which a fleet of programs may share
_LARGEST_FORM = 16_384  # bytes: a subject token and what belongs to it
_GRANTS = [CLIENT_CREDENTIALS, TOKEN_EXCHANGE]
_METHODS = ["client_secret_basic", "client_secret_post", "none"]  # none is for token exchange
_KEPT = "public, max-age=3600"
_NOT_KEPT = {"cache-control": "no-store", "pragma": "no-cache"}  # RFC 6749 section 5.1


class Token(BaseModel):
    """RFC 6749 section 5.1, RFC 8693 section 2.2.1."""

    access_token: Annotated[str, Field(examples=["eyJhbGciOiJFZDI1NTE5…"])]
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the type
    expires_in: Annotated[int, Field(description="Seconds.", examples=[900])]
    scope: Annotated[str, Field(description="The permissions that it has now.", examples=["contacts:read"])]
    issued_token_type: Annotated[
        str | None, Field(description="Of a token exchange only.", examples=[ACCESS_TOKEN])
    ] = None


class ServerMetadata(BaseModel):
    """RFC 8414 section 2."""

    issuer: Annotated[str, Field(examples=["https://api.example.com"])]
    token_endpoint: Annotated[str, Field(examples=[f"https://api.example.com{PATH}"])]
    jwks_uri: Annotated[str, Field(examples=["https://api.example.com/.well-known/jwks.json"])]
    grant_types_supported: Annotated[list[str], Field(examples=[_GRANTS])] = _GRANTS
    token_endpoint_auth_methods_supported: Annotated[list[str], Field(examples=[_METHODS])] = _METHODS
    response_types_supported: Annotated[list[str], Field(description="None.", examples=[[]])] = []
    scopes_supported: Annotated[list[str], Field(examples=[["contacts:read"]])]
    service_documentation: Annotated[str, Field(examples=["https://api.example.com/docs"])]


router = OAuthRouter(tags=["tokens"])
metadata_router = ManagementRouter(tags=["tokens"])


@router.post(PATH, response_model=Token, openapi_extra={"requestBody": TOKEN_BODY})
@terms(
    public,
    authenticates=True,
    per_source=_PER_SOURCE,
    body_limit=_LARGEST_FORM,
    browsers=False,
    idempotent=False,
    errors=(
        *(InvalidTokenRequest, FormExpected, UnsupportedGrantType, InvalidScope, InvalidTarget, SubjectTokenRefused),
        *(InvalidClient, CredentialExpired, CredentialRevoked),
        *(TenantSuspended, IpNotAllowed, IssuerUnavailable),
    ),
)
async def issue_token(request: Request) -> Response:
    """Get a short-lived access token, for an API key or for a workload.

    With `client_credentials` an API key is the client's secret, by HTTP Basic or in the body. The token has the key's
    permissions or fewer, and ends with the key.

    With token exchange (RFC 8693) the token that an outside issuer has signed for a workload is exchanged by the rule
    that `client_id` names. No key is stored anywhere.
    """
    form, services = await read_form(request), services_of(request)
    grant_type = form.get("grant_type")
    if grant_type == CLIENT_CREDENTIALS:
        return await _for_key(request, services, form)
    if grant_type == TOKEN_EXCHANGE:
        return await _for_workload(request, services, form)
    if grant_type is None:
        raise InvalidTokenRequest(message="Parameter grant_type is missing.")
    raise UnsupportedGrantType


@metadata_router.get("/.well-known/oauth-authorization-server", response_model=ServerMetadata)
@terms(public)
async def read_server_metadata(request: Request) -> Response:
    """Read where and how tokens are issued (RFC 8414)."""
    services = services_of(request)
    base = services.settings.public_url.rstrip("/")
    found = ServerMetadata(
        issuer=services.features.tokens.issuer,
        token_endpoint=f"{base}{PATH}",
        jwks_uri=f"{base}/.well-known/jwks.json",
        scopes_supported=[each.name for each in services.authorizer.permissions],
        service_documentation=f"{base}/docs",
    )
    return Response(
        found.model_dump_json(), headers={"cache-control": _KEPT, "vary": "Origin"}, media_type="application/json"
    )


async def _for_key(request: Request, services: Services, form: dict[str, str]) -> Response:
    context = context_of(request.scope)
    client = read_client(request.scope["headers"], form)
    await services.identity.authenticate(context, client.credential)
    principal = principal_of(request.scope)
    if client.id and client.id != show(API_KEY, principal.id):
        raise InvalidClient(detail="client_id is not the id of the key")
    await _charge(services, context, principal)
    held = services.authorizer.permissions_of(principal)
    scopes = narrowed(form.get("scope"), held)
    issued = services.features.tokens.issue_for_key(
        ApiKeyId(principal.id), principal.tenant.id, scopes, ends_at=principal.expires_at
    )
    return _answer(issued, held if scopes is None else scopes)


async def _for_workload(request: Request, services: Services, form: dict[str, str]) -> Response:
    """The rule's principal passes what every principal passes, before the token is used up."""
    context, origin = context_of(request.scope), origin_of(request)
    asked = read_exchange(form, frozenset({services.settings.public_url, services.settings.audience}))
    sent, exchange = asked.subject_token.encode(), services.features.workloads.exchange
    await services.identity.turn(context, sent)
    try:
        exchanged = await exchange.verify(asked.rule, asked.subject_token, origin)
        principal = await _principal(services, exchanged)
        services.identity.identify(context, principal)
        await _charge(services, context, principal)
        held = services.authorizer.permissions_of(principal)
        scopes = narrowed(asked.scope, held)
        await exchange.record(exchanged, sorted(held if scopes is None else scopes), origin)
    except SubjectTokenRefused as error:
        raise services.identity.refused(context, sent, error) from error
    claims = exchanged.claims(scopes, time.time())
    issued = services.features.tokens.issue_for_workload(claims, exchanged.trust.token_seconds)
    return _answer(issued, held if scopes is None else scopes, ACCESS_TOKEN)


async def _principal(services: Services, exchanged: Exchanged) -> Principal:
    result = await services.token_lookup.workload(exchanged.claims(None, time.time()))
    if isinstance(result, Exception):
        raise result
    if not isinstance(result.subject, Principal):
        raise SubjectTokenRefused(detail="the rule has changed meanwhile")
    return result.subject


async def _charge(services: Services, context: RequestContext, principal: Principal) -> None:
    await services.limiter.charge(context, services.limiter.management_account(principal))


def _answer(issued: Issued, scopes: Collection[str], issued_type: str | None = None) -> Response:
    token = Token(
        access_token=issued.token,
        expires_in=issued.expires_in,
        scope=" ".join(sorted(scopes)),
        issued_token_type=issued_type,
    )
    return Response(orjson.dumps(token.model_dump(exclude_none=True)), headers=_NOT_KEPT, media_type="application/json")
