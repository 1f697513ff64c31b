"""``/v1/auth/mfa/…``: sign-ins with a second factor, and a person's authenticator app and recovery codes."""

from fastapi import Request, Response

from gateway.api.answers import answered
from gateway.api.clients import client_of, factor_caller, source_of
from gateway.api.grantors import grantor_of
from gateway.api.path_ids import UserInPath
from gateway.authorization.guards import public, requires, requires_person
from gateway.request.context import principal_of
from gateway.request.origin import origin_of
from gateway.request.route import Quota
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.credentials import CredentialMissing
from tenants.directory.errors import TenantSuspended
from tenants.errors import NotFound
from tenants.mfa.errors import (
    FactorsBeyondTenant,
    LastFactor,
    MfaDelayed,
    MfaRefused,
    NotEnrolled,
    NothingToConfirm,
    OwnReset,
    ProofRefused,
    ShortPassword,
)
from tenants.mfa.schemas import (
    BeginTotp,
    ConfirmTotp,
    MfaResponse,
    Proof,
    RecoveryCodes,
    TotpConfirmed,
    TotpEnrolment,
    VerifyMfa,
)
from tenants.roles.errors import ExceedsOwn
from tenants.sign_in.schemas import Grant

_PATH = "/v1/auth/mfa"
_ATTEMPTS = Quota(120, 60)  # a minute from one address, as sign-ins

router = ManagementRouter(tags=["second factors"])


@router.post(f"{_PATH}/verify", response_model=Grant)
@terms(public, per_source=_ATTEMPTS, errors=(MfaRefused, MfaDelayed, TenantSuspended))
async def verify_mfa(request: Request, body: VerifyMfa) -> Response:
    """Complete a sign-in with a second factor. The token is good for more attempts until one succeeds.

    Give a code of the authenticator app, a recovery code, or a passkey that answers `/v1/auth/passkeys/options`. A code
    is accepted once. After too many wrong ones, attempts are delayed: retry after `Retry-After`.
    """
    passkey = None if body.passkey is None else body.passkey.as_json()
    grant = await services_of(request).features.people.mfa.sign_ins.verify(
        body.mfa_token, body.code, passkey, source=source_of(request), client=client_of(request)
    )
    return answered(grant)


@router.get(_PATH, response_model=MfaResponse)
@terms(requires_person)
async def read_mfa(request: Request) -> Response:
    """Read which second factors you have, and whether you need one."""
    services, caller = services_of(request), factor_caller(request)
    async with services.database.control(caller.tenant) as session:
        return answered(await services.features.people.mfa.own.read(session, caller.user))


@router.post(f"{_PATH}/totp", response_model=TotpEnrolment)
@terms(public, per_source=_ATTEMPTS, errors=(CredentialMissing, MfaRefused, ProofRefused, MfaDelayed))
async def begin_totp(request: Request, body: BeginTotp) -> Response:
    """Begin to enrol an authenticator app. The secret is returned once; the app's first code confirms it.

    Send your access token with a proof, or the `mfa_token` of a sign-in whose response says `enroll`. The new app takes
    the place of an earlier one.
    """
    features = services_of(request).features
    if body.mfa_token is not None:
        return answered(await features.people.mfa.sign_ins.begin_totp(body.mfa_token))
    return answered(await features.people.mfa.own.begin_totp(factor_caller(request), body.proof))


@router.post(f"{_PATH}/totp/confirm", response_model=TotpConfirmed)
@terms(
    public,
    per_source=_ATTEMPTS,
    errors=(CredentialMissing, MfaRefused, NothingToConfirm, TenantSuspended),
    ends_rights=True,
)
async def confirm_totp(request: Request, body: ConfirmTotp) -> Response:
    """Confirm an authenticator app with its current code. Your other sessions end.

    Send your access token, or the `mfa_token` that the enrolment began with: the response then has the tokens of the
    session. Recovery codes are returned once.
    """
    features = services_of(request).features
    if body.mfa_token is None:
        codes = await features.people.mfa.own.confirm_totp(factor_caller(request), body.code)
        return answered(TotpConfirmed(recovery_codes=codes, grant=None))
    source, client = source_of(request), client_of(request)
    return answered(await features.people.mfa.sign_ins.confirm_totp(body.mfa_token, body.code, source, client))


@router.delete(f"{_PATH}/totp", status_code=204)
@terms(requires_person, errors=(NotEnrolled, LastFactor, ShortPassword, ProofRefused, MfaDelayed), ends_rights=True)
async def remove_totp(request: Request, body: Proof) -> Response:
    """Remove your authenticator app. Your other sessions end."""
    await services_of(request).features.people.mfa.own.remove_totp(factor_caller(request), body)
    return Response(status_code=204)


@router.post(f"{_PATH}/recovery-codes", response_model=RecoveryCodes)
@terms(requires_person, errors=(NotEnrolled, ProofRefused, MfaDelayed), ends_rights=True)
async def renew_recovery_codes(request: Request, body: Proof) -> Response:
    """Make new recovery codes. They are returned once; earlier ones and your other sessions end."""
    codes = await services_of(request).features.people.mfa.own.renew_recovery_codes(factor_caller(request), body)
    return answered(RecoveryCodes(recovery_codes=codes))


@router.delete("/v1/members/{user_id}/mfa", status_code=204)
@terms(requires("members:update"), errors=(ExceedsOwn, OwnReset, FactorsBeyondTenant, NotFound), ends_rights=True)
async def reset_member_mfa(request: Request, user_id: UserInPath) -> Response:
    """Remove all second factors of a member who has lost them. Their sessions end.

    Only of people who are members of no other tenant: of others, the operators of the service do it.
    """
    services, caller = services_of(request), principal_of(request.scope)
    async with services.database.control(caller.tenant) as session:
        await services.features.people.mfa.tenant.reset(
            session, caller.tenant.id, caller, grantor_of(request), user_id, origin=origin_of(request)
        )
    return Response(status_code=204)
