"""Control table ``decision_counts``."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, Date, ForeignKey
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel
from tenants.identifiers import TenantId

# Days of which counts are kept: today and the seven before it, so that at least seven times 24 hours are covered.
DAYS = 8

# In place of a principal: decisions that are in no other row, since a worker's memory for counts was full.
NO_PRINCIPAL = UUID(int=0)


class DecisionCount(ControlModel):
    """How often the gate has decided about one permission of one principal, by day and outcome.

    One row for all days: a row for each day would be eight times as many to read. The first element of ``allowed`` and
    ``denied`` is of ``day``, the next one of the day before it (UTC), and so on.
    """

    __tablename__ = "decision_counts"

    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"), primary_key=True)
    principal_id: Mapped[UUID] = mapped_column(primary_key=True)  # of a person or a key; or ``NO_PRINCIPAL``
    permission: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(Date, index=True)
    allowed: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    denied: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    last_seen_at: Mapped[datetime]
