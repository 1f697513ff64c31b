"""Control tables ``api_keys`` and ``api_key_uses``."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, false, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel, Versioned
from tenants.identifiers import ApiKeyId, TenantId, UserId


def _present(column: str) -> Index:
    return Index(f"ix_api_keys_{column}", column, postgresql_where=text(f"{column} IS NOT NULL"))


class ApiKey(Versioned, ControlModel):
    """A key of one tenant. Only HMAC-SHA-256(pepper, key) is stored (ID2)."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("environment IN ('live', 'test')", name="environment"),
        CheckConstraint("owned_by IN ('user', 'key', 'tenant')", name="owned_by"),
        Index(
            "ix_api_keys_of_older_releases",
            "created_by_user_id",
            postgresql_where=text("owned_by IS NULL AND created_by_user_id IS NOT NULL"),
        ),
        *(_present(column) for column in ("created_by_key_id", "owner_key_id", "rotated_from_id", "owner_user_id")),
    )

    id: Mapped[ApiKeyId] = mapped_column(primary_key=True)
    tenant_id: Mapped[TenantId] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    # Names and texts that the tenant chose. The class has an attribute ``metadata`` already.
    labels: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'::jsonb"))
    role: Mapped[str]
    scopes: Mapped[list[str] | None]  # permissions; null is all permissions of the role
    environment: Mapped[str] = mapped_column(server_default="live")
    prefix: Mapped[str]  # the first characters of the secret, to identify the key
    last4: Mapped[str]
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    pepper_version: Mapped[int] = mapped_column(SmallInteger)
    allowed_cidrs: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    limits: Mapped[list[dict[str, Any]]] = mapped_column(
        server_default=text("'[]'::jsonb")
    )  # name, quota, window_seconds: what is shown, the tightest of each name
    # Every limit that binds the key, and the key that it counts for; null is ``limits``, which count for this key.
    binding_limits: Mapped[list[dict[str, Any]] | None]
    created_by_user_id: Mapped[UserId | None] = mapped_column(ForeignKey("tenantry.users.id", ondelete="SET NULL"))
    created_by_key_id: Mapped[ApiKeyId | None] = mapped_column(ForeignKey("tenantry.api_keys.id"))
    # Whose rights bound it now (see lineage.py). Null, of an older release: the person who created it, or the tenant.
    owned_by: Mapped[str | None]
    owner_user_id: Mapped[UserId | None] = mapped_column(ForeignKey("tenantry.users.id", ondelete="SET NULL"))
    owner_key_id: Mapped[ApiKeyId | None] = mapped_column(ForeignKey("tenantry.api_keys.id"))
    owned_since: Mapped[datetime | None]  # null, of an older release: since it was created
    rotated_from_id: Mapped[ApiKeyId | None] = mapped_column(ForeignKey("tenantry.api_keys.id", ondelete="SET NULL"))
    family_id: Mapped[ApiKeyId | None] = mapped_column(ForeignKey("tenantry.api_keys.id"), index=True)
    made_by_key: Mapped[bool] = mapped_column(server_default=false())  # the family's first key made it, or its makers
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    rotated_at: Mapped[datetime | None]  # null as well for keys that an older release rotated
    revoked_at: Mapped[datetime | None]


class ApiKeyUse(ControlModel):
    """How a key is used, as workers add it in batches. Its changes are neither announced nor counted as versions.

    No foreign key: a row of a key that was just deleted must not fail the batch. A trigger of ``api_keys`` deletes it.
    """

    __tablename__ = "api_key_uses"

    key_id: Mapped[ApiKeyId] = mapped_column(primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger)  # that were admitted
    last_used_at: Mapped[datetime]
    last_used_from: Mapped[str | None]  # source address
