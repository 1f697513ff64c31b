"""``/v1/auth/sso/…``: sign-in at the tenant's identity provider."""

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from billing.plans.errors import TooManyMembers
from gateway.api.answers import answered
from gateway.api.clients import client_of
from gateway.authorization.guards import public
from gateway.request.origin import origin_of
from gateway.request.route import Parameter, Quota
from gateway.routing.api_router import ManagementRouter
from gateway.routing.query import query_of
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.directory.errors import TenantSuspended
from tenants.sign_in.schemas import Grant
from tenants.sso.errors import NoSingleSignOn, ProviderUnavailable, SsoRefused
from tenants.sso.feature import CALLBACK
from tenants.sso.schemas import RedeemSso, SsoCode, SsoStarted, StartSso
from tenants.sso.service import Callback

_SIGN_INS = Quota(120, 60)  # a minute from one address, which an office may share
_SEE_OTHER = 303
_NO_STORE = {"cache-control": "no-store"}


def _parameter(name: str, description: str) -> Parameter:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"type": "string", "maxLength": 4000},
    }


# A provider may add parameters of its own, so they are declared for the document and read without FastAPI.
_PARAMETERS = (
    _parameter("state", "Of the URL that the sign-in started with."),
    _parameter("code", "The provider's authorization code."),
    _parameter("iss", "The provider's issuer (RFC 9207)."),
    _parameter("error", "Why the provider has refused."),
)

router = ManagementRouter(tags=["sign-in"])


@router.post("/v1/auth/sso/start", response_model=SsoStarted)
@terms(public, per_source=_SIGN_INS, errors=(NoSingleSignOn, ProviderUnavailable))
async def start_sso(request: Request, body: StartSso) -> Response:
    """Start a sign-in at the tenant's identity provider. Keep the verifier, and send the browser to the URL."""
    return answered(await services_of(request).features.people.sso.sign_in.start(body.tenant, body.return_to))


@router.get(CALLBACK, response_model=SsoCode)
@terms(
    public,
    query=_PARAMETERS,
    per_source=_SIGN_INS,
    errors=(SsoRefused, NoSingleSignOn, ProviderUnavailable, TenantSuspended, TooManyMembers),
    ends_rights=True,  # the provider's groups may give fewer roles than before
)
async def end_sso(request: Request) -> Response:
    """Receive the browser from the identity provider. It goes on to `return_to` with a `code` or an `error`.

    Without `return_to` the response is the code, or a problem document.
    """
    given = dict(reversed(query_of(request.scope)))  # the first of each name
    callback = Callback(given.get("state"), given.get("code"), given.get("iss"), given.get("error"))
    ended = await services_of(request).features.people.sso.sign_in.end(callback, origin_of(request))
    if isinstance(ended, SsoCode):
        return answered(ended)
    return RedirectResponse(ended, _SEE_OTHER, _NO_STORE)


@router.post("/v1/auth/sso/token", response_model=Grant)
@terms(public, per_source=_SIGN_INS, errors=(SsoRefused, TenantSuspended))
async def redeem_sso(request: Request, body: RedeemSso) -> Response:
    """Exchange the code, once, for tokens. It needs the verifier of the response to the start."""
    sign_in = services_of(request).features.people.sso.sign_in
    return answered(await sign_in.redeem(body.code, body.verifier, client_of(request)))
