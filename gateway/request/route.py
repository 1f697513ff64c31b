"""What a route declares, and the route itself as the gate knows it: template, terms, application."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from starlette.types import ASGIApp

from tenants.errors import TenantryError
from tenants.principal import OperatorRole
from tenants.resources.costs import MOST_COST, is_cost
from tenants.roles.permissions import Grade
from tenants.routes.schemas import RouteSpec

Parameter = Mapping[str, Any]  # an OpenAPI 3.1 Parameter Object

# Values of a JSON body. The event loop makes and checks them, and pydantic describes each wrong one: 4 ms for 1,000
# wrong values, 25 to 40 ms for 5,000, where 50 ms is the bound (LD1).
DEFAULT_VALUES = 1_000
MOST_VALUES = 5_000


class Audience(Enum):
    """Who a route is for."""

    EVERYBODY = auto()
    TENANTS = auto()  # callers with a tenant's credential
    OPERATORS = auto()  # the SaaS's own staff


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may call a route. ``permission`` narrows it to tenant principals whose roles and scopes hold that one.

    ``grade`` says which built-in roles hold a permission that an endpoint introduces. ``operator_roles`` are those of
    an operator route; of a route for everybody, those that a caller with a credential must have. ``people_only``
    excludes API keys. ``own`` is the parameter of the path that is a person's id: that person needs no permission.
    ``for_others``: the caller needs none for what concerns itself; the endpoint asks for it when the body names another
    principal.
    """

    audience: Audience
    permission: str | None = None
    grade: Grade | None = None
    operator_roles: frozenset[OperatorRole] = frozenset()
    people_only: bool = False
    own: str | None = None
    for_others: bool = False


PUBLIC = Guard(Audience.EVERYBODY)


class Budget(Enum):
    """Which limits the requests of a tenant are charged to."""

    PLAN = auto()  # windows, concurrency and quota of the tenant's plan; counted as usage
    MANAGEMENT = auto()  # windows of their own by tenant and principal, which data traffic cannot use up (TH10)
    SCIM = auto()  # wider ones, for a provider that synchronises thousands of people (docs/decisions/0036)


class ErrorFormat(Enum):
    """How the errors of a route are written."""

    PROBLEM = auto()  # RFC 9457
    SCIM = auto()  # RFC 7644 section 3.12
    OAUTH = auto()  # RFC 6749 section 5.2


@dataclass(frozen=True, slots=True)
class Quota:
    """At most ``requests`` in any ``seconds`` seconds."""

    requests: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Terms:
    """All that a route declares besides method, path and models; gate, runner and OpenAPI document read it.

    Raises ValueError for a cost or a bound that cannot be applied.
    """

    guard: Guard
    cost: int = 1  # tokens of every window of the plan, and requests in the tenant's usage
    # Parameters that the endpoint reads and checks itself; () are those of its signature, None is any, read by nothing.
    query: tuple[Parameter, ...] | None = ()
    body_limit: int | None = None  # bytes; None follows from the kind of route (``gateway/routing/bounds.py``)
    value_limit: int = DEFAULT_VALUES  # values of a JSON body: objects, arrays, texts, numbers and literals
    idempotent: bool = True  # Idempotency-Key applies, where the method is POST or PATCH
    streams: bool = False  # the response is sent in pieces while it is made
    any_host: bool = False  # served under every Host: probes and scrapers ask by address (OP7)
    tagged: bool = False  # answers with one object and its ETag, and evaluates If-Match or If-None-Match
    errors: tuple[type[TenantryError], ...] = ()  # of the endpoint itself, for the document: gateway/openapi/errors.py
    operations: bool = False  # public, and in the operators' document: probes, metrics, a provider's webhooks
    browsers: bool = True  # pages of allowed origins may call it (CORS); never one of operators or operations
    authenticates: bool = False  # the endpoint reads the credential: the identity stage does not judge its header
    ends_rights: bool = False  # may take rights away: answered when every worker applies it (ID14)
    ending_errors: tuple[type[TenantryError], ...] = ()  # raised after rights were taken away: answered likewise
    per_source: Quota | None = None  # of one source address, on a public route; charged before the body is read
    feature: str | None = None  # that the tenant's plan must have: present, and neither false nor 0 nor ""
    budget: Budget = Budget.PLAN  # given by the router: ``ManagementRouter`` changes it
    error_format: ErrorFormat = ErrorFormat.PROBLEM  # given by the router: ``ScimRouter``, ``OAuthRouter`` change it

    @property
    def open_to_browsers(self) -> bool:
        """Pages of allowed origins may read its answers."""
        return self.browsers and not self.operations and self.guard.audience is not Audience.OPERATORS

    def __post_init__(self) -> None:
        if not is_cost(self.cost):
            raise ValueError(f"cost is {self.cost!r}; write a whole number from 1 to {MOST_COST}")
        if self.per_source is not None and self.guard.audience is not Audience.EVERYBODY:
            raise ValueError("per_source limits public routes; others are limited by tenant and principal")
        if self.feature is not None and self.guard.audience is not Audience.TENANTS:
            raise ValueError("feature is one of a tenant's plan; require a permission or a principal with it")
        if self.body_limit is not None and self.body_limit < 1:
            raise ValueError(f"body_limit is {self.body_limit!r}; write a number of bytes, at least 1")
        if not 1 <= self.value_limit <= MOST_VALUES:
            raise ValueError(f"value_limit is {self.value_limit!r}; write a number from 1 to {MOST_VALUES}")


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity: a fast dictionary key for metrics and limits
class Route:
    """One method of one path. ``app`` answers; it is called with the scope, ``path_params`` in it."""

    method: str
    template: str  # /v1/contacts/{id}; {rest:path} at its end matches all remaining segments
    terms: Terms
    app: ASGIApp
    spec: RouteSpec | None = None  # of a proxied route
