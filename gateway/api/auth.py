"""Human sign-in, ``/v1/auth/…``, and the public keys of access tokens."""

from typing import Any

from fastapi import Request, Response

from gateway.api.answers import answered
from gateway.api.clients import client_of, source_of
from gateway.authorization.guards import public
from gateway.request.route import Quota
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.credentials import CredentialExpired, CredentialInvalid, CredentialRevoked
from tenants.directory.errors import TenantSuspended
from tenants.sign_in.errors import LongerPasswordNeeded, TokenReused
from tenants.sign_in.schemas import Grant, LoginRequest, LogoutRequest, MfaChallenge, RefreshRequest
from tenants.sign_in.second_factor import SecondFactorNeeded
from tenants.sign_in.service import SignInRefused

_KEYS_FRESH = "public, max-age=300, stale-while-revalidate=600"  # seconds; a new key waits that long before it signs

# A minute from one address, which an office may share. A sign-in costs us some 50 ms of a processor, others a look-up.
_SIGN_INS, _REFRESHES = Quota(120, 60), Quota(1200, 60)

_KEY_SET: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/jwk-set+json": {
                "schema": {
                    "type": "object",
                    "description": "RFC 7517.",
                    "required": ["keys"],
                    "properties": {"keys": {"type": "array", "items": {"type": "object"}}},
                    "examples": [
                        {
                            "keys": [
                                {
                                    "kty": "OKP",
                                    "crv": "Ed25519",
                                    "kid": "2026-01",
                                    "use": "sig",
                                    "alg": "Ed25519",
                                    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                                }
                            ]
                        }
                    ],
                }
            }
        }
    }
}

router = ManagementRouter(tags=["sign-in"])


@router.post("/v1/auth/login", response_model=Grant | MfaChallenge)
@terms(public, per_source=_SIGN_INS, errors=(SignInRefused, TenantSuspended, SecondFactorNeeded, LongerPasswordNeeded))
async def log_in(request: Request, body: LoginRequest) -> Response:
    """Sign in to one tenant. Every failure has the same response, whatever its reason.

    A person who has a second factor, or needs one in this tenant, gets an `mfa_token` in place of a session: go on at
    `/v1/auth/mfa/verify`, or at `/v1/auth/mfa/totp` if it says `enroll`.
    A password of fewer than 15 characters, whose second factor is gone, signs in no more: reset it by a link.
    After too many failures for an account or in a tenant, attempts are delayed: retry after `Retry-After`.
    """
    sign_in = services_of(request).features.people.sign_in
    begun = await sign_in.login(body.email, body.password, body.tenant, source_of(request), client_of(request))
    return answered(begun)


@router.post("/v1/auth/refresh", response_model=Grant)
@terms(
    public,
    per_source=_REFRESHES,
    errors=(CredentialInvalid, CredentialExpired, CredentialRevoked, TenantSuspended),
    ending_errors=(TokenReused,),
)
async def refresh_tokens(request: Request, body: RefreshRequest) -> Response:
    """Exchange a refresh token for new tokens. A refresh token is valid once; reuse revokes the sign-in."""
    return answered(await services_of(request).features.people.sign_in.refresh(body.refresh_token, client_of(request)))


@router.post("/v1/auth/logout", status_code=204)
@terms(public, per_source=_REFRESHES, ends_rights=True)
async def log_out(request: Request, body: LogoutRequest) -> Response:
    """Sign out. The refresh token and the access tokens of the sign-in are revoked.

    With `everywhere`, all sessions of the person end, in all tenants.
    """
    await services_of(request).features.people.sign_in.logout(
        body.refresh_token, client_of(request), everywhere=body.everywhere
    )
    return Response(status_code=204)


@router.get("/.well-known/jwks.json", response_class=Response, responses=_KEY_SET)
@terms(public)
async def read_signing_keys(request: Request) -> Response:
    """Read the public keys that verify access tokens. They are a JWK Set (RFC 7517)."""
    body = services_of(request).features.tokens.keys.public_document
    return Response(
        body, headers={"cache-control": _KEYS_FRESH, "vary": "Origin"}, media_type="application/jwk-set+json"
    )
