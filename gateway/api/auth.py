"""Human sign-in, ``/v1/auth/…``, and the public keys of access tokens."""

from fastapi import APIRouter, Depends, Request, Response

from gateway.api.answers import answered
from gateway.authorization.guards import public
from gateway.routing.strict_route import StrictRoute
from gateway.services import services_of
from gateway.throttle.public import per_sender
from tenants.sign_in.schemas import Grant, LoginRequest, RefreshRequest

_KEYS_FRESH = "public, max-age=300, stale-while-revalidate=600"  # seconds; a new key waits that long before it signs

_MINUTE = 60  # seconds
_SIGN_INS = 120  # a minute from one sender, who may be an office; each costs us some 50 ms of a processor
_REFRESHES = 1200  # each costs a look-up

router = APIRouter(route_class=StrictRoute, tags=["sign-in"])


@router.post("/v1/auth/login", response_model=Grant, dependencies=[Depends(public)])
@per_sender(_SIGN_INS, seconds=_MINUTE)
async def log_in(request: Request, wanted: LoginRequest) -> Response:
    """Sign in to one tenant. The answer to a failure is the same for every reason."""
    sign_in = services_of(request).features.sign_in
    return answered(await sign_in.login(wanted.email, wanted.password, wanted.tenant))


@router.post("/v1/auth/refresh", response_model=Grant, dependencies=[Depends(public)])
@per_sender(_REFRESHES, seconds=_MINUTE)
async def refresh(request: Request, wanted: RefreshRequest) -> Response:
    """The next access token. A refresh token is good once; using it again ends the sign-in."""
    return answered(await services_of(request).features.sign_in.refresh(wanted.refresh_token))


@router.post("/v1/auth/logout", status_code=204, dependencies=[Depends(public)])
@per_sender(_REFRESHES, seconds=_MINUTE)
async def log_out(request: Request, wanted: RefreshRequest) -> Response:
    """End the sign-in, and with it its access tokens."""
    await services_of(request).features.sign_in.logout(wanted.refresh_token)
    return Response(status_code=204)


@router.get("/.well-known/jwks.json", dependencies=[Depends(public)])
async def read_signing_keys(request: Request) -> Response:
    """The JWK Set (RFC 7517) that access tokens are verified with."""
    body = services_of(request).features.tokens.keys.public_document
    return Response(body, headers={"cache-control": _KEYS_FRESH}, media_type="application/jwk-set+json")
