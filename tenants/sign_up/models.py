"""Control table ``sign_ups``."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel


class PendingSignUp(ControlModel):
    """A sign-up whose address is not confirmed. It holds its slug until it expires, and is deleted when it is used."""

    __tablename__ = "sign_ups"
    __table_args__ = (
        Index("ix_sign_ups_email", text("lower(email)")),
        Index("ix_sign_ups_expires_at", "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str]
    name: Mapped[str]
    password_hash: Mapped[str]
    slug: Mapped[str] = mapped_column(unique=True)
    tenant_name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
