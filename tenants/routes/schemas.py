"""Upstreams and routes as operators and ``routes.toml`` write them: pydantic models.

One ``Configuration`` is a version: all upstreams and all routes together. It is validated as a whole, stored as a
whole, and in force as a whole.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from tenants.resources.costs import MOST_COST
from tenants.roles.permissions import Grade
from tenants.values.numbers import WHOLE
from tenants.values.origins import OriginText

MOST_UPSTREAMS = 500
MOST_ROUTES = 2_000
MOST_TARGETS = 64
MIB = 1_048_576
LARGEST_BUFFERED = 2 * MIB  # bytes of a body that is held in memory before it is sent on
LARGEST_BODY = 16_384 * MIB

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$"), Field(examples=["echo"])]
PermissionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*:[a-z][a-z0-9_]*$", max_length=100)]
FeatureName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,49}$")]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
FieldName = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")]
FieldValue = Annotated[str, StringConstraints(pattern=r"^[\t -~\u0080-\u00ff]*$", max_length=4_096)]
FilePath = Annotated[str, StringConstraints(pattern=r"^/[^\u0000-\u001f]+$", max_length=1_000)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=1, le=1_000_000), WHOLE]


class Method(StrEnum):
    """A method that a route can declare. HEAD is served where GET is; CONNECT and TRACE never are."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"
    OPTIONS = "OPTIONS"


class Part(BaseModel):
    """Forbids what it does not know, so that a misspelt member is an error and not a default (AZ7)."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TargetSpec(Part):
    """Where an upstream answers: ``http://host:port``, ``https://host:port`` or ``unix:/path/of/the/socket``."""

    url: Annotated[str, StringConstraints(max_length=500), Field(examples=["http://10.0.0.5:8080"])]
    weight: Annotated[int, Field(ge=1, le=1_000), WHOLE] = 1


class TlsSpec(Part):
    """How https targets are verified, and how they verify us. Files are read on each host of the gateway."""

    verify: bool = True
    server_name: Annotated[str, StringConstraints(max_length=253)] | None = None  # SNI and name to verify; the host's
    ca_file: FilePath | None = None  # PEM; replaces the authorities that the system trusts
    certificate_file: FilePath | None = None  # PEM, of the gateway as a client
    key_file: FilePath | None = None  # PEM


class TimeoutSpec(Part):
    """Deadlines in seconds."""

    connect: Seconds = 2.0  # name, TCP and TLS
    send: Seconds = 30.0  # between two moments at which the target takes bytes of the request
    first_byte: Seconds = 30.0  # from the end of the request to the head of the response
    idle: Seconds = 60.0  # between two reads of a response's body


class HealthSpec(Part):
    """An active check: ``GET path`` of every target."""

    path: Annotated[str, StringConstraints(pattern=r"^/[!-~]*$", max_length=500)] = "/"
    interval: Annotated[float, Field(ge=0.1, le=3_600)] = 5.0
    timeout: Annotated[float, Field(ge=0.05, le=60)] = 1.0
    healthy_after: Annotated[int, Field(ge=1, le=20), WHOLE] = 2  # successes in a row
    unhealthy_after: Annotated[int, Field(ge=1, le=20), WHOLE] = 3  # failures in a row
    statuses: Annotated[tuple[Annotated[int, Field(ge=100, le=599), WHOLE], ...], Field(max_length=20)] = (200, 204)


class OutlierSpec(Part):
    """Passive checks: a target that fails requests is ejected for a time, and probed by one request after it."""

    failures: Annotated[int, Field(ge=1, le=1_000), WHOLE] = 5  # in a row: no connection, no answer in time, 502 to 504
    eject_seconds: Seconds = 10.0  # grows with every ejection in a row, up to ten times
    most_ejected: Annotated[float, Field(ge=0, le=1)] = 0.5  # share of the targets; always leaves one
    slow_start: Annotated[float, Field(ge=0, le=600)] = 10.0  # seconds in which a new target's share grows; 0 is off


_UPSTREAM: dict[str, JsonValue] = {"name": "crm", "targets": [{"url": "http://10.0.0.5:8080"}]}
_ROUTE: dict[str, JsonValue] = {"name": "echo", "upstream": "crm", "path": "/echo", "permission": "echo:use"}


class UpstreamSpec(Part):
    """A service of the SaaS team: one or more targets that answer alike."""

    model_config = ConfigDict(json_schema_extra={"examples": [_UPSTREAM]})

    name: Name
    targets: Annotated[tuple[TargetSpec, ...], Field(min_length=1, max_length=MOST_TARGETS)]
    # Targets of a tenant's own deployment, by slug. They may have been given by the tenant: the private-address filter
    # applies to them (PX1).
    by_tenant: Annotated[
        dict[Slug, Annotated[tuple[TargetSpec, ...], Field(min_length=1, max_length=MOST_TARGETS)]],
        Field(max_length=1_000),
    ] = {}
    private: bool = True  # whether ``targets`` may have addresses that are not public
    tls: TlsSpec = TlsSpec()
    timeouts: TimeoutSpec = TimeoutSpec()
    health: HealthSpec | None = None
    outliers: OutlierSpec = OutlierSpec()
    connections: Annotated[int, Field(ge=1, le=10_000), WHOLE] = 256  # of each worker to each target
    idle_seconds: Seconds = 30.0  # how long an unused connection is kept
    # Retries over all requests of a worker: at most this share of them, and ten a second in any case (PX10).
    retry_budget: Annotated[float, Field(ge=0, le=1)] = 0.2


class FieldRules(Part):
    """Changes of header fields: first removed, then set (replaced), then added."""

    remove: Annotated[tuple[FieldName, ...], Field(max_length=50)] = ()
    set: Annotated[dict[FieldName, FieldValue], Field(max_length=50)] = {}
    add: Annotated[dict[FieldName, FieldValue], Field(max_length=50)] = {}
    # Values of secrets stay out of the configuration: the content of a file on each host of the gateway.
    set_from_file: Annotated[dict[FieldName, FilePath], Field(max_length=10)] = {}


class Access(StrEnum):
    """Who may call a route."""

    PERMISSION = "permission"  # principals that hold ``permission``
    PRINCIPAL = "principal"  # every principal of a tenant
    PUBLIC = "public"  # everybody


class IdentityClaim(StrEnum):
    """What ``Tenantry-Identity`` carries beside tenant, principal and roles."""

    PLAN = "plan"
    FEATURES = "features"
    REQUEST_ID = "request_id"  # then the token is signed for each request


class WebSocketSpec(Part):
    """WebSocket upgrades that the route allows (PX12)."""

    origins: Annotated[tuple[OriginText, ...], Field(max_length=50)] = ()  # beside requests without Origin
    any_origin: bool = False
    message_bytes: Annotated[int, Field(ge=125, le=16 * MIB), WHOLE] = MIB
    idle_seconds: Seconds = 300.0  # without a message in either direction
    longest_seconds: Seconds = 86_400.0


class CacheSpec(Part):
    """A shared cache of the route's answers (RFC 9111), in the memory of each worker."""

    default_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0  # of answers that say nothing; 0 does not store them
    # Answers to one principal may be given to others of the same tenant only where the upstream does not look at who
    # asks. By default each principal has its own.
    shared_by: Literal["principal", "roles", "tenant"] = "principal"
    largest_bytes: Annotated[int, Field(ge=1, le=64 * MIB), WHOLE] = MIB
    stale_while_revalidate: Annotated[float, Field(ge=0, le=86_400)] = 0  # beside what an answer allows itself
    stale_if_error: Annotated[float, Field(ge=0, le=86_400)] = 0


class RouteSpec(Part):
    """One route to an upstream."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ROUTE]})

    name: Name
    upstream: Name | None = None  # None: requests are decided (/authorize, verify) and never forwarded
    hosts: Annotated[tuple[Annotated[str, StringConstraints(max_length=255)], ...], Field(max_length=50)] = ()  # () any
    path: Annotated[str, StringConstraints(max_length=500), Field(examples=["/echo", "/orders/{id}"])]
    # ``prefix``: the path and all below it. ``exact``: the path alone. Segments such as ``{id}`` match any one segment.
    match: Literal["prefix", "exact"] = "prefix"
    methods: Annotated[tuple[Method, ...], Field(max_length=len(Method))] = ()  # () is all of them
    access: Access = Access.PERMISSION
    permission: PermissionName | None = None
    permissions: Annotated[
        dict[Method, PermissionName], Field(max_length=len(Method))
    ] = {}  # by method, before the other
    grade: Grade | None = None  # who holds a permission that the routes introduce; follows from the methods
    feature: FeatureName | None = None  # that the plan must have: present, and neither false nor 0 nor ""
    cost: Annotated[int, Field(ge=1, le=MOST_COST), WHOLE] = 1
    strip_prefix: bool = False  # the upstream gets what follows ``path``
    rewrite: Annotated[str, StringConstraints(max_length=500)] | None = None  # put in the place of ``path``
    preserve_host: bool = False  # the upstream gets the caller's Host; otherwise that of the target
    forward_cookies: bool = False
    request_fields: FieldRules = FieldRules()
    response_fields: FieldRules = FieldRules()
    identity: Annotated[tuple[IdentityClaim, ...], Field(max_length=len(IdentityClaim))] = (IdentityClaim.PLAN,)
    retries: Annotated[int, Field(ge=0, le=5), WHOLE] = 1  # further attempts of idempotent methods (PX10)
    body_limit: Annotated[int, Field(ge=1, le=LARGEST_BODY), WHOLE] = 10 * MIB
    buffer: bool = False  # hold the request's body before it is sent on; at most LARGEST_BUFFERED bytes
    first_byte_seconds: Seconds | None = None  # in place of the upstream's, such as for a long poll
    websocket: WebSocketSpec | None = None
    cache: CacheSpec | None = None
    browsers: bool = False  # pages of the tenants' allowed origins may call it (CORS, as for the API itself)
    server_timing: bool = False


class Configuration(Part):
    """Everything that is proxied, as one document."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"upstreams": [_UPSTREAM], "routes": [_ROUTE]}]})

    upstreams: Annotated[tuple[UpstreamSpec, ...], Field(max_length=MOST_UPSTREAMS)] = ()
    routes: Annotated[tuple[RouteSpec, ...], Field(max_length=MOST_ROUTES)] = ()
