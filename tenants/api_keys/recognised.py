"""A key as it is looked up: what makes a principal of it, and how it is kept."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tenants.identifiers import ApiKeyId, UserId
from tenants.principal import TenantRef


@dataclass(frozen=True, slots=True)
class RecognisedKey:
    """The columns of a key's row that a request depends on, ended or not, and its tenant."""

    tenant: TenantRef
    id: ApiKeyId
    digest: bytes
    pepper_version: int
    role: str
    scopes: list[str] | None
    limits: list[dict[str, Any]]
    allowed_cidrs: list[str]
    created_by_user_id: UserId | None
    expires_at: datetime | None
    revoked_at: datetime | None
