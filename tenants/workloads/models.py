"""Control tables of workload rules, and of the outside tokens that were exchanged."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, func, text, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel, Versioned
from tenants.identifiers import TenantId, WorkloadRuleId


class WorkloadRule(Versioned, ControlModel):
    """A tenant's trust in the workloads that an issuer's tokens describe. Every change ends the tokens given by it."""

    __tablename__ = "workload_rules"
    __table_args__ = (
        CheckConstraint("token_seconds BETWEEN 1 AND 300", name="token_seconds"),
        Index("ix_workload_rules_tenant_id", "tenant_id"),
    )

    id: Mapped[WorkloadRuleId] = mapped_column(primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"))
    name: Mapped[str]
    issuer: Mapped[str]
    audience: Mapped[str]
    claims: Mapped[dict[str, str]] = mapped_column(JSONB)  # patterns by name
    role: Mapped[str]
    scopes: Mapped[list[str] | None]  # permissions; null is all permissions of the role
    token_seconds: Mapped[int] = mapped_column(SmallInteger)
    allowed_cidrs: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    single_use: Mapped[bool] = mapped_column(server_default=true())
    enabled: Mapped[bool] = mapped_column(server_default=true())
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class WorkloadExchange(ControlModel):
    """An outside token that was exchanged by a rule. It is remembered for as long as it is valid."""

    __tablename__ = "workload_exchanges"
    __table_args__ = (Index("ix_workload_exchanges_expires_at", "expires_at"),)

    rule_id: Mapped[WorkloadRuleId] = mapped_column(
        ForeignKey("tenantry.workload_rules.id", ondelete="CASCADE"), primary_key=True
    )
    token_digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    expires_at: Mapped[datetime]
