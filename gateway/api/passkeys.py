"""``/v1/auth/passkeys``: sign in with a passkey, and a person's own passkeys."""

from typing import Annotated

from fastapi import Query, Request, Response

from gateway.api.answers import answered, created, read
from gateway.api.clients import client_of, factor_caller, source_of
from gateway.api.pages import ListCursors, ListQuery, Page
from gateway.api.path_ids import PasskeyInPath
from gateway.authorization.guards import public, requires_person
from gateway.request.context import context_of
from gateway.request.entity_tags import Tagged, representation_of
from gateway.request.route import Quota
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.directory.errors import TenantSuspended
from tenants.errors import ValidationFailed
from tenants.identifiers import PasskeyId
from tenants.mfa.challenges import LIFE
from tenants.mfa.errors import (
    LastFactor,
    MfaDelayed,
    MfaRefused,
    PasskeyKnown,
    PasskeyNotAccepted,
    ProofRefused,
    ShortPassword,
    TooManyPasskeys,
)
from tenants.mfa.schemas import (
    ChangePasskey,
    CreatePasskey,
    PasskeyCreated,
    PasskeyLogin,
    PasskeyOptions,
    PasskeyResponse,
    Proof,
    RequestPasskey,
)
from tenants.sign_in.schemas import Grant

_PATH = "/v1/auth/passkeys"
_ONE = f"{_PATH}/{{passkey_id}}"
_REPRESENTATION = representation_of(PasskeyResponse)
_ATTEMPTS = Quota(120, 60)  # a minute from one address, as sign-ins
_LIFE = int(LIFE.total_seconds())
_ANY_PERSON = RequestPasskey()  # of a request without a body

router = ManagementRouter(tags=["second factors"])


@router.post(f"{_PATH}/options", response_model=PasskeyOptions)
@terms(public, per_source=_ATTEMPTS, errors=(MfaRefused,))
async def request_passkey(request: Request, body: RequestPasskey = _ANY_PERSON) -> Response:
    """Get options for the browser to use a passkey with. Their challenge is good once.

    With the `mfa_token` of a sign-in, its second factor; with your access token, a proof for a change of your factors;
    with neither, a sign-in without a password.
    """
    person = None
    if body.mfa_token is None and context_of(request.scope).principal is not None:
        person = factor_caller(request).user
    options = await services_of(request).features.people.mfa.sign_ins.passkey_options(person, body.mfa_token)
    return answered(PasskeyOptions(public_key=options, expires_in=_LIFE))


@router.post(f"{_PATH}/login", response_model=Grant)
@terms(public, per_source=_ATTEMPTS, errors=(MfaRefused, ValidationFailed, TenantSuspended))
async def log_in_with_passkey(request: Request, body: PasskeyLogin) -> Response:
    """Sign in with a passkey and no password. It counts as two factors, since the device has verified the person."""
    sign_ins, passkey = services_of(request).features.people.mfa.sign_ins, body.passkey.as_json()
    grant = await sign_ins.log_in_with_passkey(passkey, body.tenant, source_of(request), client_of(request))
    return answered(grant)


@router.post(f"{_PATH}/registration", response_model=PasskeyOptions)
@terms(requires_person, errors=(ProofRefused, MfaDelayed))
async def begin_passkey(request: Request, body: Proof) -> Response:
    """Get options for the browser to make a passkey with. Their challenge is good once."""
    options = await services_of(request).features.people.mfa.own.begin_passkey(factor_caller(request), body)
    return answered(PasskeyOptions(public_key=options, expires_in=_LIFE))


@router.post(_PATH, status_code=201, response_model=PasskeyCreated)
@terms(requires_person, errors=(PasskeyNotAccepted, PasskeyKnown, TooManyPasskeys), ends_rights=True)
async def create_passkey(request: Request, body: CreatePasskey) -> Response:
    """Register the passkey that the browser has made. Your other sessions end; recovery codes are returned once."""
    own_factors = services_of(request).features.people.mfa.own
    row, codes = await own_factors.add_passkey(factor_caller(request), body.name, body.passkey.as_json())
    response = PasskeyCreated.with_codes(row, codes)
    return created(response, f"{_PATH}/{response.id}")


@router.get(_PATH, response_model=Page[PasskeyResponse])
@terms(requires_person)
async def list_passkeys(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """List your passkeys. The newest comes first."""
    services, caller = services_of(request), factor_caller(request)
    cursors = ListCursors(services.settings.secret, f"passkeys {caller.user}", caller.tenant.id, query)
    async with services.database.control(caller.tenant) as session:
        rows = await services.features.people.mfa.own.page(session, caller.user, cursors.keyset())
    return answered(cursors.page(rows, PasskeyResponse.of))


@router.get(_ONE, response_model=PasskeyResponse)
@terms(requires_person, tagged=True)
async def read_passkey(request: Request, passkey_id: PasskeyInPath) -> Response:
    """Read one of your passkeys."""
    services, caller = services_of(request), factor_caller(request)
    async with services.database.control(caller.tenant) as session:
        row = await services.features.people.mfa.own.read_passkey(session, caller.user, passkey_id)
    return read(request, PasskeyResponse.of(row), _tagged(passkey_id), row.version)


@router.patch(_ONE, response_model=PasskeyResponse)
@terms(requires_person, tagged=True)
async def update_passkey(request: Request, passkey_id: PasskeyInPath, body: ChangePasskey) -> Response:
    """Rename one of your passkeys."""
    services, caller = services_of(request), factor_caller(request)
    expected = services.tags.expected(_tagged(passkey_id), request.scope)
    async with services.database.control(caller.tenant) as session:
        row = await services.features.people.mfa.own.rename_passkey(
            session, caller.user, passkey_id, body.name, versions=expected
        )
    return answered(PasskeyResponse.of(row), services.tags.of(_tagged(passkey_id), row.version))


@router.delete(_ONE, status_code=204)
@terms(requires_person, tagged=True, errors=(LastFactor, ShortPassword, ProofRefused, MfaDelayed), ends_rights=True)
async def remove_passkey(request: Request, passkey_id: PasskeyInPath, body: Proof) -> Response:
    """Remove one of your passkeys. Your other sessions end."""
    services = services_of(request)
    expected = services.tags.expected(_tagged(passkey_id), request.scope)
    await services.features.people.mfa.own.remove_passkey(factor_caller(request), body, passkey_id, versions=expected)
    return Response(status_code=204)


def _tagged(passkey: PasskeyId) -> Tagged:
    return Tagged(_REPRESENTATION, passkey.bytes)
