"""Control tables of the migrations themselves: the prepared script of a new tenant, and the fleet's ledger."""

from datetime import datetime
from typing import Literal

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Integer, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel
from tenants.identifiers import TenantId

State = Literal["applied", "failed"]


class TenantBlueprint(ControlModel):
    """What makes a new tenant's schema: the tenant stream from nothing to ``revisions``, rendered once.

    ``tenantry.provision_tenant`` runs the one that was made last.
    """

    __tablename__ = "tenant_blueprints"

    revisions: Mapped[list[str]] = mapped_column(ARRAY(Text), primary_key=True)  # the stream's heads, sorted
    statements: Mapped[list[str]]
    append_only: Mapped[list[str]]  # tables whose rows the tenant's role may add and read, and no more
    made_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class TenantMigration(ControlModel):
    """How far a tenant's schema is, written in the transaction that changed the schema.

    ``revisions`` is where it stands. ``state`` is ``failed`` from a failed attempt until the next one that works; then
    ``error`` says why, for the operator alone.
    """

    __tablename__ = "tenant_migrations"
    __table_args__ = (CheckConstraint("state IN ('applied', 'failed')", name="state"),)

    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"), primary_key=True)
    revisions: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    state: Mapped[State] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")  # since it last worked
    error: Mapped[str | None]
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now())
