"""Human sign-in, ``/v1/auth/…``, and the public keys of access tokens."""

from fastapi import Request, Response

from gateway.api.answers import answered
from gateway.authorization.guards import public
from gateway.routing.api_router import APIRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from gateway.throttle.public import per_sender
from tenants.sign_in.schemas import Grant, LoginRequest, RefreshRequest

_KEYS_FRESH = "public, max-age=300, stale-while-revalidate=600"  # seconds; a new key waits that long before it signs

_MINUTE = 60  # seconds
_SIGN_INS = 120  # a minute from one address, which an office may share; each costs us some 50 ms of a processor
_REFRESHES = 1200  # each costs a look-up

router = APIRouter(tags=["sign-in"])


@router.post("/v1/auth/login", response_model=Grant)
@terms(public)
@per_sender(_SIGN_INS, seconds=_MINUTE)
async def log_in(request: Request, body: LoginRequest) -> Response:
    """Sign in to one tenant. Every failure has the same response, whatever its reason."""
    sign_in = services_of(request).features.sign_in
    return answered(await sign_in.login(body.email, body.password, body.tenant))


@router.post("/v1/auth/refresh", response_model=Grant)
@terms(public)
@per_sender(_REFRESHES, seconds=_MINUTE)
async def refresh(request: Request, body: RefreshRequest) -> Response:
    """Exchange a refresh token for new tokens. A refresh token is valid once; reuse revokes the sign-in."""
    return answered(await services_of(request).features.sign_in.refresh(body.refresh_token))


@router.post("/v1/auth/logout", status_code=204)
@terms(public)
@per_sender(_REFRESHES, seconds=_MINUTE)
async def log_out(request: Request, body: RefreshRequest) -> Response:
    """Revoke the sign-in with its refresh and access tokens."""
    await services_of(request).features.sign_in.logout(body.refresh_token)
    return Response(status_code=204)


@router.get("/.well-known/jwks.json")
@terms(public)
async def read_signing_keys(request: Request) -> Response:
    """Read the JWK Set (RFC 7517) that verifies access tokens."""
    body = services_of(request).features.tokens.keys.public_document
    return Response(body, headers={"cache-control": _KEYS_FRESH}, media_type="application/jwk-set+json")
