"""The part of a rule's row that an exchange, and the authentication of a token, read."""

from dataclasses import dataclass

from tenants.identifiers import WorkloadRuleId
from tenants.principal import TenantRef


@dataclass(frozen=True, slots=True)
class Trust:
    """A rule, enabled or not, and its tenant."""

    tenant: TenantRef
    id: WorkloadRuleId
    version: int
    issuer: str
    audience: str
    claims: dict[str, str]
    role: str
    scopes: list[str] | None
    token_seconds: int
    allowed_cidrs: list[str]
    single_use: bool
    enabled: bool
