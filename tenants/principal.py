"""The principal: the authenticated caller of a request, frozen, used by every stage after identity."""

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from tenants.identifiers import SignInId, TenantId
from tenants.policy import NO_OWN_ROLES, Policy
from tenants.values.networks import Network


class TenantStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    BEHIND = "behind"  # its schema lacks what the running release needs; derived, never stored


class PrincipalKind(StrEnum):
    API_KEY = "api_key"
    USER = "user"
    OPERATOR = "operator"  # the SaaS's own staff, acting for a tenant
    WORKLOAD = "workload"  # a program that a rule of the tenant trusts, by the token of an outside issuer


class OperatorRole(StrEnum):
    """What an operator key may do on operator routes. A role holds what is written here and nothing of another one."""

    ADMIN = "admin"  # everything
    SUPPORT = "support"  # reads what operators can read, and changes nothing
    VERIFIER = "verifier"  # asks for decisions on credentials, for a service that enforces them itself


class ActorKind(StrEnum):
    API_KEY = "api_key"
    USER = "user"
    OPERATOR = "operator"  # the SaaS's own staff, by an operator key
    WORKLOAD = "workload"  # a program, by the rule that trusts it
    CLI = "cli"  # somebody with the deployment's settings, by the command line
    STRIPE = "stripe"
    SYSTEM = "system"  # Tenantry itself, or a job of the SaaS
    ANONYMOUS = "anonymous"  # a caller who has not proven who they are


@dataclass(frozen=True, slots=True)
class TenantRef:
    """What a request needs of its tenant: status, plan, and the names of schema and role."""

    id: TenantId
    slug: str
    status: TenantStatus
    schema: str  # PostgreSQL schema, derived from the id
    role: str  # PostgreSQL role with DML on that schema and nothing else
    plan: str  # plan code; the plan itself belongs to billing
    revisions: tuple[str, ...] = ()  # of its schema, when it was loaded to authenticate a request


@dataclass(frozen=True, slots=True)
class Window:
    """A limit: at most ``quota`` requests in any ``seconds`` seconds."""

    name: str
    quota: int
    seconds: int
    counter: str = ""  # within the tenant: of all its requests, or of those that share this name, such as a key's id


@dataclass(frozen=True, slots=True)
class Actor:
    """The author of a change, as recorded in its event."""

    kind: ActorKind
    id: UUID | None = None  # of the API key, the user, the operator key or the workload rule


SYSTEM_ACTOR = Actor(ActorKind.SYSTEM)
ANONYMOUS_ACTOR = Actor(ActorKind.ANONYMOUS)


@dataclass(frozen=True, slots=True)
class KeyEnding:
    """When an API key ends, of which its responses warn; and when it got a successor, if it did."""

    at: float  # seconds since the epoch, as below
    rotated_at: float | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller of one tenant. Contains no secret; log its id."""

    kind: PrincipalKind
    id: UUID
    tenant: TenantRef
    roles: tuple[str, ...]
    scopes: frozenset[str] | None = None  # restricts the permissions of its roles; None is no restriction
    windows: tuple[Window, ...] = ()  # limits that bind the key, its own and its makers', in addition to the plan's
    networks: tuple[Network, ...] = ()  # addresses that may use the key; empty allows any
    expires_at: float | None = None  # seconds since the epoch
    user_id: UUID | None = field(default=None)  # the user's own id, or the user who created the key
    policy: Policy = NO_OWN_ROLES  # of the tenant's own roles; needed when one of ``roles`` is not built in
    family: str = ""  # principals that count as one for management requests; empty is this one alone
    sign_in_id: SignInId | None = None  # of a person: the sign-in that issued the access token
    methods: tuple[str, ...] = ()  # of a person: how they signed in (RFC 8176)
    ending: KeyEnding | None = None  # of the API key that the credential is, or is issued for

    @property
    def actor(self) -> Actor:
        """The author of a change, when it is this principal."""
        return Actor(ActorKind(self.kind.value), self.id)


@dataclass(frozen=True, slots=True)
class Operator:
    """A member of the SaaS's own staff, authenticated by an operator key. Belongs to no tenant."""

    id: UUID
    name: str
    role: OperatorRole

    @property
    def actor(self) -> Actor:
        """The author of a change, when it is this operator."""
        return Actor(ActorKind.OPERATOR, self.id)
