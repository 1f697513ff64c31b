"""``/operator/v1/audit-events``: what operators have changed, listed and read."""

from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import Field

from gateway.api.answers import answered, read
from gateway.api.audit_events import AnyId, Between
from gateway.api.pages import ListCursors, ListQuery, Page
from gateway.api.path_ids import EventInPath
from gateway.authorization.guards import requires_operator_read
from gateway.request.entity_tags import Tagged, representation_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.audit.repository import OperatorEventFilter
from tenants.audit.schemas import OperatorEventResponse
from tenants.identifiers import OPERATOR_KEY, example_of
from tenants.principal import ActorKind

_PATH = "/operator/v1/audit-events"
_REPRESENTATION = representation_of(OperatorEventResponse)
_NEVER_CHANGED = 1  # its version


class OperatorAuditQuery(ListQuery, Between):
    """Which events; all that are given must hold."""

    action: Annotated[str | None, Field(max_length=200, description="Only this action, such as `plans.updated`.")] = (
        None
    )
    actor_kind: Annotated[ActorKind | None, Field(description="Only what actors of this kind did.")] = None
    actor: Annotated[AnyId | None, Field(description="Only what this operator key did.")] = None
    object: Annotated[
        str | None,
        Field(
            max_length=200,
            description="Only events of this object: its id, or the code of a plan.",
            examples=[example_of(OPERATOR_KEY)],
        ),
    ] = None

    def selected(self) -> OperatorEventFilter:
        """As the repository takes them."""
        return OperatorEventFilter(
            action=self.action,
            object=self.object,
            actor_kind=self.actor_kind,
            actor_id=self.actor,
            since=self.since,
            until=self.until,
        )


router = ManagementRouter(tags=["operators' audit log"])


@router.get(_PATH, response_model=Page[OperatorEventResponse])
@terms(requires_operator_read)
async def list_operator_audit_events(request: Request, query: Annotated[OperatorAuditQuery, Query()]) -> Response:
    """List what operators have changed. The newest event comes first.

    Operator keys, plans, and the tenants' creation, suspension, plan and deletion, by operator keys and by the command
    line. What an operator does while acting for a tenant is in the audit log of that tenant.
    """
    services = services_of(request)
    cursors = ListCursors(services.settings.secret, "operator-audit-events", None, query)
    async with services.database.control() as session:
        rows = await services.features.operator_log.page(session, query.selected(), cursors.keyset())
    return answered(cursors.page(rows, OperatorEventResponse.of))


@router.get(f"{_PATH}/{{event_id}}", response_model=OperatorEventResponse)
@terms(requires_operator_read, tagged=True)
async def read_operator_audit_event(request: Request, event_id: EventInPath) -> Response:
    """Read one event of the operators' log. It never changes."""
    services = services_of(request)
    async with services.database.control() as session:
        event = await services.features.operator_log.read(session, event_id)
    return read(request, OperatorEventResponse.of(event), Tagged(_REPRESENTATION, event.id.bytes), _NEVER_CHANGED)
