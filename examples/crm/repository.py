"""The statements of the CRM's own endpoints. They run in the tenant's schema, which no statement names."""

from uuid import UUID

from sqlalchemy import func, select

from examples.crm.contacts import Contact
from examples.crm.deals import Deal
from tenantry import TenantSession, prepare

CONTACTS_BY_STAGE = prepare(select(Contact.stage, func.count()).group_by(Contact.stage))  # stages that have contacts


async def lock_deal(session: TenantSession, deal_id: UUID) -> Deal | None:
    """The deal, locked until the transaction ends; None when the tenant has no such deal."""
    return await session.get(Deal, deal_id, with_for_update=True)
