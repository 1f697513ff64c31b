"""``/operator/v1/route-configuration`` and ``/operator/v1/route-versions``: upstreams and routes as one document."""

from datetime import datetime
from typing import Annotated

from fastapi import Path, Request, Response
from pydantic import BaseModel, Field

from gateway.api.answers import answered, read
from gateway.api.pages import Page, complete_page
from gateway.authorization.guards import requires_operator, requires_operator_read
from gateway.request.entity_tags import Tagged, representation_of
from gateway.request.origin import origin_of
from gateway.request.route import MOST_VALUES
from gateway.routing.api_router import ManagementRouter
from gateway.routing.bounds import MIB
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.audit.schemas import OperatorActor
from tenants.identifiers import OPERATOR_KEY, show
from tenants.routes.schemas import Configuration
from tenants.routes.service import Version, VersionSummary

_CONFIGURATION = "/operator/v1/route-configuration"
_VERSIONS = "/operator/v1/route-versions"
_LAST_NUMBER = 2**31 - 1  # of an integer in PostgreSQL
_TAGGED = Tagged(representation_of(Configuration), b"routes")


class RouteVersionResponse(BaseModel):
    """A version of all upstreams and routes. The one with the highest number is in force."""

    number: Annotated[int, Field(examples=[7])]
    created_at: datetime | None
    actor: OperatorActor
    restored: Annotated[int | None, Field(description="The version that it is a copy of, after a rollback.")]
    changes: Annotated[list[str], Field(description="Against the version before.", examples=[["route echo: created"]])]

    @classmethod
    def of(cls, version: Version | VersionSummary) -> "RouteVersionResponse":
        """The response for this version."""
        return cls(
            number=version.number,
            created_at=version.created_at,
            actor=OperatorActor(
                kind=version.actor_kind,
                id=None if version.actor_id is None else show(OPERATOR_KEY, version.actor_id),
            ),
            restored=version.restored,
            changes=list(version.changes),
        )


router = ManagementRouter(tags=["routes"])


@router.get(_CONFIGURATION, response_model=Configuration)
@terms(requires_operator_read, tagged=True)
async def read_route_configuration(request: Request) -> Response:
    """Read all upstreams and routes as one document. `tenantry routes apply` takes the same as TOML."""
    features = services_of(request).features
    async with features.database.control() as session:
        version = await features.routes.current(session)
    return read(request, version.configuration, _TAGGED, version.number)


@router.put(_CONFIGURATION, response_model=RouteVersionResponse)
@terms(requires_operator, tagged=True, ends_rights=True, body_limit=MIB, value_limit=MOST_VALUES)
async def replace_route_configuration(request: Request, body: Configuration) -> Response:
    """Replace all upstreams and routes. The answer is the version that is in force on every worker then.

    Nothing changes when anything is invalid. A document that is equal to the one in force makes no version.
    """
    services = services_of(request)
    expected = services.tags.expected(_TAGGED, request.scope)
    async with services.database.control() as session:
        applied = await services.features.routes.apply(session, body, expected, origin=origin_of(request))
    return answered(RouteVersionResponse.of(applied.version), services.tags.of(_TAGGED, applied.version.number))


@router.get(_VERSIONS, response_model=Page[RouteVersionResponse])
@terms(requires_operator_read)
async def list_route_versions(request: Request) -> Response:
    """List the version in force and the last ten before it, the newest first. They are one page."""
    features = services_of(request).features
    async with features.database.control() as session:
        versions = await features.routes.versions(session)
    return answered(complete_page(versions, RouteVersionResponse.of))


@router.post(f"{_VERSIONS}/{{number}}/rollback", response_model=RouteVersionResponse)
@terms(requires_operator, tagged=True, ends_rights=True)
async def roll_back_routes(
    request: Request,
    number: Annotated[int, Path(ge=1, le=_LAST_NUMBER, description="The number of the version.", examples=[6])],
) -> Response:
    """Put an earlier version in force again, as a new version on every worker. It must still be valid."""
    services = services_of(request)
    async with services.database.control() as session:
        applied = await services.features.routes.rollback(session, number, origin=origin_of(request))
    return answered(RouteVersionResponse.of(applied.version), services.tags.of(_TAGGED, applied.version.number))
