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

Endpoints
    router = APIRouter()

    @router.post("/v1/deals/{id}/win", responses=documented_as(deals))
    @terms(requires("deals:win"), cost=2)
    async def win_deal(deal_id: DealId, objects: Objects) -> Response: ...

    ``APIRouter``: FastAPI's router; every endpoint declares ``terms``: its guard, cost, bounds and query parameters.
    ``requires("deals:win")``: a principal of a tenant with that permission. ``Grade`` says which built-in roles have a
    permission of yours. ``requires_principal``: any principal of a tenant. ``public``: no credential.
    ``PathId``: ``Annotated[UUID, PathId("deal"), Path(alias="id")]``, an id in the path.
    ``documented_as``: the resource's schema in the OpenAPI document.

Parameters of endpoints, filled by their annotation
    ``TenantSession``: the tenant's transaction; it is committed before the response is sent.
    ``Objects``: the objects of resources in that transaction, with hooks, events and ETags.
    ``StatementGroup``: statements of ``prepare``, sent in one round trip.
    ``CurrentPrincipal``: the ``Principal``, with its tenant, roles and scopes. ``CurrentPlan``: the tenant's ``Plan``.

Errors
    Raise one of these in an endpoint or a hook; the response is a problem document (RFC 9457) with the error's code.
    ``Forbidden`` 403, ``NotFound`` 404, ``Conflict`` 409, ``PreconditionFailed`` 412, ``ValidationFailed`` 422 with its
    ``FieldError``s, ``Unavailable`` 503. Subclass ``TenantryError`` for codes of your own; its ``ErrorKind`` decides
    the status.
"""

from billing.plans.plan import Plan
from gateway.api.dependencies import CurrentPlan, CurrentPrincipal, StatementGroup, TenantSession
from gateway.api.path_ids import PathId
from gateway.authorization.guards import public, requires, requires_principal
from gateway.data.objects import Objects, documented_as
from gateway.routing.api_router import APIRouter
from gateway.routing.terms import terms
from gateway.version import VERSION
from tenants.database.base import APPEND_ONLY, TenantModel
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

__all__ = [
    "APPEND_ONLY",
    "APIRouter",
    "Change",
    "Conflict",
    "CurrentPlan",
    "CurrentPrincipal",
    "DeclarationError",
    "ErrorKind",
    "FieldError",
    "Forbidden",
    "Grade",
    "NotFound",
    "Objects",
    "PathId",
    "Plan",
    "PreconditionFailed",
    "Principal",
    "Resource",
    "Rule",
    "StatementGroup",
    "TenantModel",
    "TenantSession",
    "TenantryError",
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
