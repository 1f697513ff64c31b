"""Control table ``invitations``."""

from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel, Versioned
from tenants.identifiers import InvitationId, TenantId, UserId
from tenants.principal import Actor, ActorKind


class InvitationStatus(StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    REVOKED = "revoked"
    EXPIRED = "expired"


class Invitation(Versioned, ControlModel):
    """An invitation of an address to a tenant. Its links are in ``one_time_links`` and live shorter."""

    __tablename__ = "invitations"
    __table_args__ = (
        CheckConstraint("accepted_at IS NULL OR revoked_at IS NULL", name="end"),
        Index("ix_invitations_tenant_id", "tenant_id", text("lower(email)")),
    )

    id: Mapped[InvitationId] = mapped_column(primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"))
    email: Mapped[str]
    role: Mapped[str]
    inviter_kind: Mapped[str]  # of the one whose permissions decide whether the role is granted
    inviter_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    expires_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]  # when the latest message was queued; null while mail is off
    sends: Mapped[int] = mapped_column(Integer, server_default="0", default=0)  # messages that were queued
    accepted_at: Mapped[datetime | None]
    accepted_by: Mapped[UserId | None] = mapped_column(ForeignKey("tenantry.users.id", ondelete="SET NULL"), index=True)
    revoked_at: Mapped[datetime | None]

    @property
    def inviter(self) -> Actor:
        """Who sent it, or sent it again last."""
        return Actor(ActorKind(self.inviter_kind), self.inviter_id)

    @inviter.setter
    def inviter(self, actor: Actor) -> None:
        self.inviter_kind, self.inviter_id = actor.kind.value, actor.id

    @property
    def status(self) -> InvitationStatus:
        """What it is now: it expires without a write."""
        if self.accepted_at is not None:
            return InvitationStatus.ACCEPTED
        if self.revoked_at is not None:
            return InvitationStatus.REVOKED
        return InvitationStatus.PENDING if self.expires_at > datetime.now(UTC) else InvitationStatus.EXPIRED

    @property
    def shown_version(self) -> int:
        """Grows with every change that a caller can see, expiry included."""
        return 2 * self.version + (self.status is InvitationStatus.EXPIRED)
