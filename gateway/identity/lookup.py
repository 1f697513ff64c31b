"""What is looked up in the database for a credential, and the result."""

from dataclasses import dataclass

from tenants.errors import TenantryError
from tenants.identifiers import ApiKeyId, TenantId, UserId
from tenants.principal import Actor, Operator, Principal
from tenants.secrets.tokens import SecretKind
from tenants.sign_in.access_tokens import AccessClaims, KeyClaims, WorkloadClaims


@dataclass(frozen=True, slots=True)
class KeySecret:
    """A well-formed API key or operator key."""

    kind: SecretKind
    text: str


@dataclass(frozen=True, slots=True)
class KeyId:
    """An API key by its id, within its tenant: for a token that was issued for it, and for questions about it."""

    tenant_id: TenantId
    id: ApiKeyId


@dataclass(frozen=True, slots=True)
class MemberId:
    """A person by id, within a tenant: for questions about them. The principal has no sign-in and does not expire."""

    tenant_id: TenantId
    id: UserId


Lookup = KeySecret | AccessClaims | KeyClaims | WorkloadClaims | KeyId | MemberId
Subject = Principal | Operator
Refusal = type[TenantryError]


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose a credential was that is refused now."""

    tenant: TenantId
    actor: Actor


@dataclass(frozen=True, slots=True)
class LookupResult:
    """A subject, or the error to raise; and tags of the rows that it was made from, in the form of notifications."""

    subject: Subject | Refusal
    own: tuple[str, ...] = ()  # "api_key <digest>": the credential's own row, under every pepper
    tenant: str | None = None  # "tenant <uuid>"
    user: str | None = None  # "user <uuid>": the person, or the one who owns the key or its owners
    expires_at: float | None = None  # seconds since the epoch; None is never
    holder: Holder | None = None  # of a revoked API key
    # "api_key <digest>", "workload_rule <uuid>": rows that other credentials are made from, too.
    line: tuple[str, ...] = ()
