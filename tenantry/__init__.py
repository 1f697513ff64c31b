"""The public API of Tenantry: what a SaaS team imports. Every other module is private and may change.

A project is a module that declares what Tenantry serves:

    from tenantry import Resource, TenantModel

    class Contact(TenantModel):              # a SQLAlchemy model: one table in each tenant's schema
        __tablename__ = "contacts"
        name: Mapped[str] = mapped_column(String(200))

    contacts = Resource(model=Contact, name="contacts", singular="contact", writable=("name",))

    RESOURCES = (contacts,)
    ROUTERS = (router,)                      # endpoints of your own, if there are any
    MIGRATIONS = Path(__file__).parent / "migrations"

Name the module in ``TENANTRY_RESOURCES``, or as ``resources`` under ``[tool.tenantry]`` in pyproject.toml.
``tenantry new NAME`` writes a complete project, ``tenantry dev`` runs it.

Resources
    ``TenantModel``: the declarative base of the tables; it adds ``id``, ``created_at``, ``updated_at``, ``version``.
    ``Resource``: a table that is served under ``/v1/<name>``, with its writable, filterable and sortable columns.
    ``Rule``: constraints and documentation of one field.
    ``before_change=``, ``after_change=`` of a resource: an async function of a ``TenantSession`` and a ``Change`` (with
    its ``Verb``), which runs in the change's transaction and rejects it by raising an error.
    ``APPEND_ONLY``: ``info={APPEND_ONLY: True}`` of a table whose rows are inserted and read, but never changed.
    ``DeclarationError``: raised at start for a declaration that cannot be served.

Endpoints of your own (``ROUTERS = (router,)`` beside ``RESOURCES``)
    ``APIRouter``: FastAPI's router with strict bodies and queries; every endpoint declares its ``terms``.
    ``terms``: below the router's decorator, as ``@terms(requires("deals:win"), cost=2)``: guard, cost, body bound, ...
    ``requires``: a principal of a tenant with that permission. A permission that no resource has joins the vocabulary
    of roles and scopes; its ``Grade`` says which built-in roles hold it.
    ``requires_principal``: any principal of a tenant. ``public``: no credential.
    ``CurrentPrincipal``, ``CurrentPlan``: annotations of parameters; the ``Principal`` (tenant, roles), its plan.
    ``CurrentSession``: the tenant's transaction, an SQLAlchemy session (``TenantSession``) that commits before the
    response leaves.
    ``CurrentGroup``: a ``StatementGroup``; its statements, made with ``prepare``, are one transaction, one round trip.
    ``Objects``: declared resources through the CRUD service, with their hooks and events, in ``CurrentSession``.
    ``PathId``: the typed id of a path, as ``Annotated[UUID, PathId("deal")]``.
    ``documented_as``: a resource's own schema in the OpenAPI document.
    ``Timestamp``, ``WHOLE``, ``SHOWN``: fields of pydantic models that read times, integers (``Annotated[int, WHOLE]``)
    and names (``Annotated[str, SHOWN]``) as Tenantry's own endpoints do.

Errors
    Raise one of these in an endpoint or a hook; the response is a problem document (RFC 9457) with the error's code.
    ``Forbidden`` 403, ``NotFound`` 404, ``Conflict`` 409, ``PreconditionFailed`` 412, ``ValidationFailed`` 422 with its
    ``FieldError``s, ``Unavailable`` 503. Subclass ``TenantryError`` for codes of your own; its ``ErrorKind`` decides
    the status.
"""

from gateway.api.dependencies import CurrentGroup, CurrentPlan, CurrentPrincipal, CurrentSession
from gateway.api.path_ids import PathId
from gateway.authorization.guards import public, requires, requires_principal
from gateway.data.objects import Objects, documented_as
from gateway.routing.api_router import APIRouter
from gateway.routing.terms import terms
from gateway.version import VERSION
from tenants.database.base import APPEND_ONLY, TenantModel
from tenants.database.groups import StatementGroup
from tenants.database.sessions import TenantSession
from tenants.database.statements import prepare
from tenants.errors import (
    Conflict,
    ErrorKind,
    FieldError,
    Forbidden,
    NotFound,
    PreconditionFailed,
    TenantryError,
    Unavailable,
    ValidationFailed,
)
from tenants.principal import Principal
from tenants.resources.errors import DeclarationError
from tenants.resources.fields import Rule
from tenants.resources.hooks import Change, Verb
from tenants.resources.resource import Resource
from tenants.roles.permissions import Grade
from tenants.values.numbers import WHOLE
from tenants.values.shown import SHOWN
from tenants.values.timestamps import Timestamp

__all__ = [
    "APPEND_ONLY",
    "SHOWN",
    "WHOLE",
    "APIRouter",
    "Change",
    "Conflict",
    "CurrentGroup",
    "CurrentPlan",
    "CurrentPrincipal",
    "CurrentSession",
    "DeclarationError",
    "ErrorKind",
    "FieldError",
    "Forbidden",
    "Grade",
    "NotFound",
    "Objects",
    "PathId",
    "PreconditionFailed",
    "Principal",
    "Resource",
    "Rule",
    "StatementGroup",
    "TenantModel",
    "TenantSession",
    "TenantryError",
    "Timestamp",
    "Unavailable",
    "ValidationFailed",
    "Verb",
    "__version__",
    "documented_as",
    "prepare",
    "public",
    "requires",
    "requires_principal",
    "terms",
]

__version__ = VERSION
