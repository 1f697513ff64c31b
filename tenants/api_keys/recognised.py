"""The part of a key's row that authentication reads."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tenants.identifiers import ApiKeyId, UserId
from tenants.principal import TenantRef


@dataclass(frozen=True, slots=True)
class RecognisedKey:
    """The columns that authentication reads, and the tenant; the key can be disabled, revoked or expired."""

    tenant: TenantRef
    id: ApiKeyId
    digest: bytes
    pepper_version: int
    role: str
    scopes: list[str] | None
    limits: list[dict[str, Any]]
    binding_limits: list[dict[str, Any]] | None
    family_id: ApiKeyId | None
    made_by_key: bool
    allowed_cidrs: list[str]
    created_by_user_id: UserId | None
    owned_by: str | None
    owner_user_id: UserId | None
    owner_key_id: ApiKeyId | None
    owned_since: datetime | None
    created_at: datetime
    expires_at: datetime | None
    disabled_at: datetime | None
    rotated_at: datetime | None
    revoked_at: datetime | None
