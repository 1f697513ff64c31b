"""Control tables of single sign-on: connections, domains, identities and flows."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel, Versioned
from tenants.identifiers import SsoDomainId, TenantId, UserId


class SsoConnection(Versioned, ControlModel):
    """The OpenID Connect provider of a tenant, and what it may decide. The client's secret is sealed (SE1)."""

    __tablename__ = "sso_connections"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"), unique=True)
    issuer: Mapped[str]
    client_id: Mapped[str]
    client_secret: Mapped[bytes] = mapped_column(LargeBinary)
    default_role: Mapped[str]
    groups_claim: Mapped[str | None]
    group_roles: Mapped[dict[str, str]] = mapped_column(JSONB, server_default=text("'{}'"))
    enforced: Mapped[bool] = mapped_column(server_default="false")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class SsoDomain(Versioned, ControlModel):
    """A mail domain of a tenant. Several tenants may name it; one of them has proven it."""

    __tablename__ = "sso_domains"
    __table_args__ = (
        UniqueConstraint("tenant_id", "domain", name="uq_sso_domains_tenant_id"),
        Index("uq_sso_domains_domain", "domain", unique=True, postgresql_where=text("verified_at IS NOT NULL")),
        CheckConstraint("domain = lower(domain)", name="domain"),
    )

    id: Mapped[SsoDomainId] = mapped_column(primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"))
    domain: Mapped[str]  # ASCII, in lower case
    record: Mapped[str]  # the value of the TXT record that proves it
    verified_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]  # when the record was last found
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class SsoIdentity(ControlModel):
    """Who a subject of a provider is. It stays when the person is removed, so that they are not let in again.

    ``granted`` are the roles that single sign-on has given, and may take away.
    """

    __tablename__ = "sso_identities"
    __table_args__ = (
        UniqueConstraint("connection_id", "user_id", name="uq_sso_identities_user_id"),
        Index("ix_sso_identities_user_id", "user_id"),
    )

    connection_id: Mapped[UUID] = mapped_column(
        ForeignKey("tenantry.sso_connections.id", ondelete="CASCADE"), primary_key=True
    )
    subject: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[UserId] = mapped_column(ForeignKey("tenantry.users.id", ondelete="CASCADE"))
    provisioned: Mapped[bool]  # the person became a member by single sign-on
    granted: Mapped[list[str]]
    linked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())


class SsoFlow(ControlModel):
    """A sign-in under way. State, verifier and code are stored as hashes, and each is used once."""

    __tablename__ = "sso_flows"
    __table_args__ = (Index("ix_sso_flows_expires_at", "expires_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    connection_id: Mapped[UUID] = mapped_column(
        ForeignKey("tenantry.sso_connections.id", ondelete="CASCADE"), index=True
    )
    state_digest: Mapped[bytes | None] = mapped_column(LargeBinary, unique=True)  # null once it was used
    verifier_digest: Mapped[bytes] = mapped_column(LargeBinary)
    return_to: Mapped[str | None]
    user_id: Mapped[UserId | None] = mapped_column(ForeignKey("tenantry.users.id", ondelete="CASCADE"), index=True)
    code_digest: Mapped[bytes | None] = mapped_column(LargeBinary, unique=True)
    expires_at: Mapped[datetime]
