"""Control tables of the migrations: the script of a new tenant and the ledger of the fleet."""

from datetime import datetime
from typing import Literal

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Integer, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel
from tenants.identifiers import TenantId

State = Literal["applied", "failed"]


class TenantBlueprint(ControlModel):
    """The script of a new tenant's schema: the tenant stream up to ``revisions``, rendered once.

    ``tenantry.provision_tenant`` runs the newest one.
    """

    __tablename__ = "tenant_blueprints"

    revisions: Mapped[list[str]] = mapped_column(ARRAY(Text), primary_key=True)  # the stream's heads, sorted
    statements: Mapped[list[str]]
    append_only: Mapped[list[str]]  # tables with INSERT and SELECT only for the tenant's role
    made_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class TenantMigration(ControlModel):
    """The migration state of a tenant's schema, written in the transaction that changes the schema.

    ``revisions`` are the current ones. ``state`` is ``failed`` from a failed attempt until the next success; ``error``
    then has the reason, for operators only.
    """

    __tablename__ = "tenant_migrations"
    __table_args__ = (CheckConstraint("state IN ('applied', 'failed')", name="state"),)

    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"), primary_key=True)
    revisions: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    state: Mapped[State] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")  # failed ones since the last success
    error: Mapped[str | None]
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now())
