"""The public API of Tenantry: what a SaaS team imports. Every other module is private and may change.

A project is a module that declares what Tenantry serves:

    from tenantry import Resource, Rule, TenantModel

    class Contact(TenantModel):              # a SQLAlchemy model: one table in each tenant's schema
        __tablename__ = "contacts"
        name: Mapped[str] = mapped_column(String(200))

    contacts = Resource(model=Contact, name="contacts", singular="contact", writable=("name",))

    RESOURCES = (contacts,)
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

Guards of endpoints
    ``requires("contacts:read")``: a principal of a tenant with that permission.
    ``requires_principal``: any principal of a tenant.
    ``public``: no credential.
    ``Principal``: the authenticated caller, with its tenant, roles and scopes.

Errors
    Raise one of these in an endpoint; the response is a problem document (RFC 9457) with the error's code.
    ``Forbidden`` 403, ``NotFound`` 404, ``Conflict`` 409, ``PreconditionFailed`` 412, ``ValidationFailed`` 422 with its
    ``FieldError``s, ``Unavailable`` 503. Subclass ``TenantryError`` for codes of your own; its ``ErrorKind`` decides
    the status.
"""

from gateway.authorization.guards import public, requires, requires_principal
from gateway.version import VERSION
from tenants.database.base import APPEND_ONLY, TenantModel
from tenants.database.sessions import TenantSession
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

__all__ = [
    "APPEND_ONLY",
    "Change",
    "Conflict",
    "DeclarationError",
    "ErrorKind",
    "FieldError",
    "Forbidden",
    "NotFound",
    "PreconditionFailed",
    "Principal",
    "Resource",
    "Rule",
    "TenantModel",
    "TenantSession",
    "TenantryError",
    "Unavailable",
    "ValidationFailed",
    "Verb",
    "__version__",
    "public",
    "requires",
    "requires_principal",
]

__version__ = VERSION
