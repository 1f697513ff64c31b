"""Control tables ``sign_in_allowances`` and ``sign_in_places``."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel
from tenants.identifiers import TenantId, UserId


class SignInAllowance(ControlModel):
    """A time that a limit of sign-ins depends on (``limits.py``). The key is a keyed hash: it names nobody."""

    __tablename__ = "sign_in_allowances"
    __table_args__ = (Index("ix_sign_in_allowances_until", "until"),)

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    until: Mapped[datetime]


class SignInPlace(ControlModel):
    """A source from which a member of a tenant has signed in; ``place`` is a keyed hash of its address."""

    __tablename__ = "sign_in_places"
    __table_args__ = (
        Index("ix_sign_in_places_tenant_id", "tenant_id", "place"),
        Index("ix_sign_in_places_seen_at", "seen_at"),
    )

    user_id: Mapped[UserId] = mapped_column(ForeignKey("tenantry.users.id", ondelete="CASCADE"), primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"), primary_key=True)
    place: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    seen_at: Mapped[datetime]
