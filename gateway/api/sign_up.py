"""Sign-up: ``/v1/auth/signup`` and ``/v1/auth/email/verify``."""

from fastapi import Request, Response

from gateway.api.answers import accepted, answered
from gateway.api.clients import client_of, source_of
from gateway.authorization.guards import public
from gateway.request.route import Quota
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.links.errors import LinkInvalid
from tenants.password_changes.schemas import Accepted
from tenants.sign_in.schemas import Grant
from tenants.sign_up.errors import AddressInUse, NotThePassword, SignUpClosed, SlugInUse, SlugLost
from tenants.sign_up.schemas import SignUpRequest, VerifyEmailRequest
from tenants.sign_up.service import SignUp

# From one address, which an office may share. A sign-up holds a slug for an hour.
_SIGN_UPS, _CONFIRMATIONS = Quota(20, 3600), Quota(30, 60)

router = ManagementRouter(tags=["sign-in"])


@router.post("/v1/auth/signup", status_code=202, response_model=Accepted)
@terms(public, per_source=_SIGN_UPS, errors=(SignUpClosed, SlugInUse))
async def sign_up(request: Request, body: SignUpRequest) -> Response:
    """Sign up for a tenant of your own. The address gets a message; the response is the same for every address.

    The slug is held for an hour. The same request again sends another message.
    """
    await _open(request).request(body, source_of(request))
    return accepted(Accepted())


@router.post("/v1/auth/email/verify", response_model=Grant)
@terms(public, per_source=_CONFIRMATIONS, errors=(SignUpClosed, LinkInvalid, NotThePassword, SlugLost, AddressInUse))
async def verify_email(request: Request, body: VerifyEmailRequest) -> Response:
    """Confirm a sign-up by its link and password. It creates your account and tenant, and signs you in as its owner."""
    return answered(await _open(request).verify(body.token, body.password, source_of(request), client_of(request)))


def _open(request: Request) -> SignUp:
    features = services_of(request).features
    if features.people.sign_up is None:
        raise SignUpClosed
    return features.people.sign_up
