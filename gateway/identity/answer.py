"""What loading a credential finds, and from what."""

from dataclasses import dataclass

from tenants.errors import TenantryError
from tenants.principal import Operator, Principal

Subject = Principal | Operator
Refusal = type[TenantryError]


@dataclass(frozen=True, slots=True)
class Answer:
    """A subject, or the refusal to raise; and the rows that it was made from, in the words of a notification."""

    subject: Subject | Refusal
    own: tuple[str, ...] = ()  # "api_key <digest>": of the credential's own row, under every pepper
    tenant: str | None = None  # "tenant <uuid>"
    user: str | None = None  # "user <uuid>"
    expires_at: float | None = None  # seconds since the epoch; None is never
