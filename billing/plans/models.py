"""Control table ``plans``."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Integer, func
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel, Versioned


class PlanRow(Versioned, ControlModel):
    """A stored plan. ``windows`` is a list of ``{"name", "quota", "window_seconds"}``."""

    __tablename__ = "plans"

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    rank: Mapped[int] = mapped_column(Integer)  # the highest entitled rank wins; rank 0 is the default plan
    windows: Mapped[list[dict[str, Any]]]
    concurrency: Mapped[int | None] = mapped_column(Integer)  # concurrent requests; null is unlimited
    monthly_quota: Mapped[int | None] = mapped_column(BigInteger)  # requests per billing period; null is unlimited
    features: Mapped[dict[str, Any]]
    stripe_price_id: Mapped[str | None] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
