"""Control table ``operator_keys``."""

from datetime import datetime

from sqlalchemy import CheckConstraint, LargeBinary, SmallInteger, func
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel, Versioned
from tenants.identifiers import OperatorKeyId


class OperatorKey(Versioned, ControlModel):
    """A key of an operator; belongs to no tenant."""

    __tablename__ = "operator_keys"
    __table_args__ = (CheckConstraint("role IN ('admin', 'support', 'verifier')", name="role"),)

    id: Mapped[OperatorKeyId] = mapped_column(primary_key=True)
    name: Mapped[str]
    role: Mapped[str] = mapped_column(server_default="admin")  # an OperatorRole
    prefix: Mapped[str]
    last4: Mapped[str]
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    pepper_version: Mapped[int] = mapped_column(SmallInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
