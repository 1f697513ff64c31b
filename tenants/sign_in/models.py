"""Control tables ``sign_ins``, ``refresh_tokens``, ``sign_in_allowances`` and ``sign_in_places``."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel
from tenants.identifiers import SignInId, TenantId, UserId


class UserSession(ControlModel):
    """A sign-in of a person to a tenant, from its first tokens to its end. Ended for good: no change revives it (ID15).

    ``methods`` are how the person proved who they are, as authentication method references (RFC 8176).
    """

    __tablename__ = "sign_ins"

    id: Mapped[SignInId] = mapped_column(primary_key=True)
    user_id: Mapped[UserId] = mapped_column(ForeignKey("tenantry.users.id", ondelete="CASCADE"), index=True)
    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"), index=True)
    methods: Mapped[list[str]]
    user_agent: Mapped[str] = mapped_column(server_default="")
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime] = mapped_column(server_default=func.now())  # of a sign-in or refresh
    ended_at: Mapped[datetime | None]


class RefreshToken(ControlModel):
    """A refresh token: opaque, stored as a hash, used once. Reuse ends its sign-in (ID8)."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (Index("ix_refresh_tokens_user_id", "user_id", "tenant_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    family_id: Mapped[SignInId] = mapped_column(ForeignKey("tenantry.sign_ins.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[UserId] = mapped_column(ForeignKey("tenantry.users.id", ondelete="CASCADE"))
    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"))
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    issued_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    successor_sealed: Mapped[bytes | None] = mapped_column(
        LargeBinary
    )  # response for a repeated request within the grace period
