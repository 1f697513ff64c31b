"""SQL of the control table ``invitations``."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, func, select

from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.identifiers import InvitationId, TenantId
from tenants.invitations.models import Invitation

_PENDING: tuple[ColumnElement[bool], ...] = (
    Invitation.accepted_at.is_(None),
    Invitation.revoked_at.is_(None),
    Invitation.expires_at > func.now(),
)


async def find(session: ControlSession, tenant: TenantId, invitation: InvitationId) -> Invitation | None:
    """One invitation of this tenant."""
    return await session.scalar(select(Invitation).where(Invitation.tenant_id == tenant, Invitation.id == invitation))


async def find_pending(session: ControlSession, tenant: TenantId, email: str) -> Invitation | None:
    """The invitation of this address that can be accepted, regardless of case."""
    return await session.scalar(select(Invitation).where(*_of_address(tenant, email), *_PENDING))


async def page(session: ControlSession, tenant: TenantId, keyset: Keyset) -> Sequence[Invitation]:
    """A page of the tenant's invitations by creation time, which is the order of their ids."""
    query = select(Invitation).where(Invitation.tenant_id == tenant)
    return (await session.scalars(keyset.of(query, Invitation.id))).all()


async def count_pending(session: ControlSession, tenant: TenantId) -> int:
    """How many of the tenant's invitations can be accepted."""
    query = select(func.count()).select_from(Invitation).where(Invitation.tenant_id == tenant, *_PENDING)
    return await session.scalar(query) or 0


async def count_created(session: ControlSession, tenant: TenantId, within: timedelta) -> int:
    """How many invitations the tenant has created in the time before now."""
    recent = Invitation.created_at > func.now() - within
    query = select(func.count()).select_from(Invitation).where(Invitation.tenant_id == tenant, recent)
    return await session.scalar(query) or 0


async def messages_to(session: ControlSession, tenant: TenantId, email: str, within: timedelta) -> int:
    """How many messages the tenant has sent to this address, by invitations that it has sent in the time before now."""
    query = select(func.sum(Invitation.sends)).where(*_of_address(tenant, email))
    return await session.scalar(query.where(Invitation.sent_at > func.now() - within)) or 0


async def delete_ended(session: ControlSession, age: timedelta) -> None:
    """Delete invitations that were accepted, revoked or expired so long ago."""
    ended = func.coalesce(Invitation.accepted_at, Invitation.revoked_at, Invitation.expires_at)
    await session.execute(delete(Invitation).where(ended < func.now() - age))


def _of_address(tenant: TenantId, email: str) -> tuple[ColumnElement[bool], ...]:
    return Invitation.tenant_id == tenant, func.lower(Invitation.email) == func.lower(email)
