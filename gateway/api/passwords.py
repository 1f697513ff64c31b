"""A person's password: ``/v1/auth/password/…``."""

from fastapi import Request, Response

from gateway.api.answers import accepted, answered
from gateway.api.clients import client_of, source_of
from gateway.authorization.guards import public, requires_person
from gateway.request.context import principal_of
from gateway.request.origin import origin_of
from gateway.request.route import Quota
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.links.errors import LinkInvalid
from tenants.password_changes.errors import MailOff, WrongPassword
from tenants.password_changes.schemas import (
    Accepted,
    ChangePasswordRequest,
    ForgotPasswordRequest,
    ResetPasswordRequest,
)
from tenants.sign_in.schemas import Grant
from tenants.sign_in_limits.attempts import SignInDelayed

# A minute from one address, which an office may share.
_MESSAGES, _RESETS = Quota(10, 60), Quota(30, 60)

router = ManagementRouter(tags=["sign-in"])


@router.post("/v1/auth/password/forgot", status_code=202, response_model=Accepted)
@terms(public, per_source=_MESSAGES, errors=(MailOff,))
async def forgot_password(request: Request, body: ForgotPasswordRequest) -> Response:
    """Ask for a link to set a new password. The response is the same whether the address has an account or not."""
    await services_of(request).features.people.password_changes.forgot(body.email)
    return accepted(Accepted())


@router.post("/v1/auth/password/reset", status_code=204)
@terms(public, per_source=_RESETS, errors=(LinkInvalid,), ends_rights=True)
async def reset_password(request: Request, body: ResetPasswordRequest) -> Response:
    """Set a new password by a link. All sessions of the person end, in all tenants; none begins."""
    changes = services_of(request).features.people.password_changes
    await changes.reset(body.token, body.password, source_of(request), origin=origin_of(request))
    return Response(status_code=204)


@router.post("/v1/auth/password/change", response_model=Grant)
@terms(requires_person, errors=(WrongPassword, SignInDelayed), ends_rights=True)
async def change_password(request: Request, body: ChangePasswordRequest) -> Response:
    """Change your password. All your sessions end, in all tenants, this one too: go on with the tokens of the response.

    Wrong current passwords are delayed as those of sign-ins are: retry after `Retry-After`.
    """
    changes, caller = services_of(request).features.people.password_changes, principal_of(request.scope)
    source, client = source_of(request), client_of(request)
    return answered(await changes.change(caller, body.current_password, body.password, source, client))
