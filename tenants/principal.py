"""The principal: the one shape that a credential becomes, frozen, shared by every stage after identity."""

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from uuid import UUID

from tenants.identifiers import TenantId


class TenantStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    BEHIND = "behind"  # its last migration failed: its tables are not what this code expects. Never stored.


class PrincipalKind(StrEnum):
    API_KEY = "api_key"
    USER = "user"


class ActorKind(StrEnum):
    API_KEY = "api_key"
    USER = "user"
    SYSTEM = "system"  # Tenantry itself, or a job of the SaaS


@dataclass(frozen=True, slots=True)
class TenantRef:
    """A tenant as a request carries it: enough to open its transactions, nothing of its data."""

    id: TenantId
    slug: str
    status: TenantStatus
    schema: str  # PostgreSQL schema, made by the server from the id
    role: str  # PostgreSQL role with DML on that schema and nothing else
    plan: str  # plan code; the plan itself is billing's


@dataclass(frozen=True, slots=True)
class Window:
    """A limit: at most ``quota`` requests in any ``seconds`` seconds."""

    name: str
    quota: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Actor:
    """Who made a change, as its event records it."""

    kind: ActorKind
    id: UUID | None = None  # of the API key or the user


SYSTEM_ACTOR = Actor(ActorKind.SYSTEM)


@dataclass(frozen=True, slots=True)
class Principal:
    """A recognised caller of one tenant. Never holds a secret; safe to log by id."""

    kind: PrincipalKind
    id: UUID
    tenant: TenantRef
    roles: tuple[str, ...]
    scopes: frozenset[str] | None = None  # permissions the credential is narrowed to; None is all of its roles'
    windows: tuple[Window, ...] = ()  # a key's own limits, beside its plan's and never looser
    networks: tuple[IPv4Network | IPv6Network, ...] = ()  # addresses a key may come from; empty is any
    expires_at: float | None = None  # seconds since the epoch
    user_id: UUID | None = field(default=None)  # the person behind it: a user's own id, or a key's maker

    @property
    def actor(self) -> Actor:
        """The author of a change, when it is this principal."""
        return Actor(ActorKind(self.kind.value), self.id)


@dataclass(frozen=True, slots=True)
class Operator:
    """The SaaS's own staff, known by an operator key. Belongs to no tenant."""

    id: UUID
    name: str
