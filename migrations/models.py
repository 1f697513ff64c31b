"""Control table of the migrations: the scripts of new tenants."""

from datetime import datetime

from sqlalchemy import ARRAY, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel


class TenantBlueprint(ControlModel):
    """The script of a new tenant's schema: the tenant stream up to ``revisions``, rendered once.

    ``tenantry.provision_tenant`` runs the newest one.
    """

    __tablename__ = "tenant_blueprints"

    revisions: Mapped[list[str]] = mapped_column(ARRAY(Text), primary_key=True)  # the stream's heads, sorted
    statements: Mapped[list[str]]
    append_only: Mapped[list[str]]  # tables with INSERT and SELECT only for the tenant's role
    columns: Mapped[list[str] | None]  # `table.column` of tenants at these revisions; None while there was none
    made_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
