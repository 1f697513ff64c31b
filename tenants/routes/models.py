"""Control table ``route_versions``."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, func
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel


class RouteVersion(ControlModel):
    """One version of all upstreams and routes. The one with the highest number is in force; rows never change."""

    __tablename__ = "route_versions"

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    configuration: Mapped[dict[str, Any]]  # a ``Configuration`` without the members that have their default
    changes: Mapped[list[str]]  # against the version before, such as "route echo: created"
    restored: Mapped[int | None] = mapped_column(Integer)  # the version that a rollback copied
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
