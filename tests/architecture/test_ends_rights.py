"""Every route that can take a right away is answered when it is in force on every worker (ID14)."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.responses import Response, StreamingResponse

from gateway.authorization.guards import public
from gateway.request.route import Budget, Route
from gateway.routing.api_router import ManagementRouter
from gateway.routing.routes import routes_of
from gateway.routing.terms import terms
from tenants.resources.errors import DeclarationError
from tenants.sign_in.errors import TokenReused
from tests.fixtures.unconnected import unconnected_api, unconnected_services

_SAFE = {"GET", "HEAD"}
_GIVES = "gives rights, and takes none"
_BEGINS = "a step of a sign-in or an enrolment: it gives rights, or none yet"
_UNCACHED = "no worker caches it: what it ends is read from the database with each use"

# Unsafe routes without ``ends_rights``, each with the reason why no worker has to apply anything before the answer.
NO_RIGHTS_TAKEN = {
    "POST /v1/api-keys": _GIVES,
    "POST /v1/decisions/explain": "it changes nothing",
    "POST /v1/roles/dry-run": "it changes nothing",
    "POST /v1/api-keys/{key_id}/enable": _GIVES,
    "POST /v1/invitations": _GIVES,
    "POST /v1/invitations/{invitation_id}/resend": _GIVES,
    "DELETE /v1/invitations/{invitation_id}": _UNCACHED,
    "POST /v1/auth/invitations/accept": _GIVES,
    "POST /v1/auth/invitations/renew": _GIVES,
    "POST /v1/roles": _GIVES,
    "POST /scim/v2/Groups": "a new group gives no role before an admin maps it",
    "POST /v1/sso/domains": _GIVES,
    "POST /v1/sso/domains/{domain_id}/verify": _GIVES,
    "DELETE /v1/sso/domains/{domain_id}": _UNCACHED,
    "POST /v1/auth/login": _BEGINS,
    "POST /v1/auth/refresh": "a new token beside the old one, which is good until it expires; reuse is an ending error",
    "POST /v1/auth/switch": _BEGINS,
    "POST /v1/auth/signup": _BEGINS,
    "POST /v1/auth/email/verify": _GIVES,
    "POST /v1/auth/mfa/verify": _BEGINS,
    "POST /v1/auth/mfa/totp": _BEGINS,
    "POST /v1/auth/passkeys/options": _BEGINS,
    "POST /v1/auth/passkeys/login": _BEGINS,
    "POST /v1/auth/passkeys/registration": _BEGINS,
    "PATCH /v1/auth/passkeys/{passkey_id}": "only the passkey's name",
    "POST /v1/auth/password/forgot": "sends a link",
    "POST /v1/auth/sso/start": _BEGINS,
    "POST /v1/auth/sso/token": _BEGINS,
    "POST /v1/auth/token": _GIVES,
    "POST /v1/workload-rules": _GIVES,
    "POST /operator/v1/tenants": _GIVES,
    "POST /operator/v1/tenants/{tenant_id}/resume": _GIVES,
    "POST /operator/v1/plans": _GIVES,
    "POST /operator/v1/operator-keys": _GIVES,
    "POST /operator/v1/verify": "it changes nothing but counts",
    "POST /operator/v1/verify/batch": "it changes nothing but counts",
    "POST /access/v1/evaluation": "it changes nothing but counts",
    "POST /access/v1/evaluations": "it changes nothing but counts",
    "POST /operator/v1/events/{event_id}/replay": "queues a job, as the first delivery did",
    "POST /webhooks/stripe": "queues a job: Stripe asks for an answer when the event is stored",
}
_SAFE_BUT_ENDING = {"GET /v1/auth/sso/callback"}  # a browser's redirect: the provider may give fewer roles than before


@pytest.fixture(scope="module")
def routes() -> dict[str, Route]:
    """Tenantry's own; a SaaS team's data and endpoints hold no rights."""
    own = (each for each in routes_of(unconnected_api(unconnected_services())) if each.terms.budget is not Budget.PLAN)
    return {f"{route.method} {route.template}": route for route in own}


def test_every_unsafe_route_waits_or_says_why_it_need_not(routes: dict[str, Route]) -> None:
    """ID14: a new route is in one of the two, and none of the reasons is left over."""
    waiting = {name for name, route in routes.items() if route.terms.ends_rights}
    unsafe = {name for name, route in routes.items() if route.method not in _SAFE}
    assert unsafe - waiting == set(NO_RIGHTS_TAKEN)
    assert waiting - unsafe == _SAFE_BUT_ENDING


def test_the_reuse_of_a_refresh_token_waits_although_it_is_refused(routes: dict[str, Route]) -> None:
    """ID8, ID14: it ends the sign-in."""
    ending = {name: route.terms.ending_errors for name, route in routes.items() if route.terms.ending_errors}
    assert ending == {"POST /v1/auth/refresh": (TokenReused,)}


async def _streamed() -> StreamingResponse:
    return StreamingResponse(iter(()))


async def _injected(wait: str) -> Response:
    return Response(wait)


@pytest.mark.parametrize(("endpoint", "streams"), [(_streamed, True), (_injected, False)])
def test_an_answer_that_cannot_be_held_back_is_refused_at_the_start(
    endpoint: Callable[..., Any], *, streams: bool
) -> None:
    """ID14: the terms would promise what the runner cannot keep."""
    router, app = ManagementRouter(), FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    async def copy(**values: Any) -> Any:
        return await endpoint(**values)

    copy.__wrapped__ = endpoint  # type: ignore[attr-defined]  # gives it the endpoint's signature
    router.add_api_route("/ends", terms(public, ends_rights=True, streams=streams)(copy), methods=["POST"])
    app.include_router(router)
    with pytest.raises(DeclarationError, match="ends_rights"):
        list(routes_of(app))
