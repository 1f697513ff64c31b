"""The CRM's own endpoints, beside the CRUD endpoints of its resources."""

from typing import Annotated
from uuid import UUID

from fastapi import Path, Response
from pydantic import BaseModel, Field

from examples.crm import repository
from examples.crm.contacts import CONTACT_STAGES
from examples.crm.deals import CLOSED_STAGES, deals
from tenantry import (
    APIRouter,
    Conflict,
    CurrentGroup,
    CurrentSession,
    NotFound,
    Objects,
    PathId,
    documented_as,
    requires,
    terms,
)

DealId = Annotated[UUID, PathId(deals.singular), Path(alias="id", description="The id of the deal.")]

router = APIRouter()


class DealClosed(Conflict):
    message = "The deal is already won or lost."


class ContactStats(BaseModel):
    """Numbers of contacts."""

    total: int
    by_stage: Annotated[dict[str, int], Field(description="Every stage, also those without contacts.")]


@router.post("/v1/deals/{id}/win", tags=["deals"], responses=documented_as(deals))
@terms(requires("deals:win"), cost=2, tagged=True, errors=(DealClosed,))
async def win_deal(deal_id: DealId, session: CurrentSession, objects: Objects) -> Response:
    """Set the stage of a deal to won."""
    deal = await repository.lock_deal(session, deal_id)
    if deal is None:
        raise NotFound
    if deal.stage in CLOSED_STAGES:
        raise DealClosed
    return objects.response(deals, await objects.update(deals, deal_id, {"stage": "won"}))


@router.get("/v1/contacts/stats", tags=["contacts"])
@terms(requires("contacts:read"))
async def read_contact_stats(group: CurrentGroup) -> ContactStats:
    """Count the contacts in each stage."""
    found = group.add(repository.CONTACTS_BY_STAGE, {})
    await group.commit()
    counts: dict[str, int] = dict(found.rows)
    by_stage = {stage: counts.get(stage, 0) for stage in CONTACT_STAGES}
    return ContactStats(total=sum(by_stage.values()), by_stage=by_stage)
