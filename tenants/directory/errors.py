"""Errors of tenants."""

from tenants.errors import Conflict, ErrorKind, FieldError, NotFound, TenantryError, ValidationFailed, not_unique


class TenantSuspended(TenantryError):
    kind = ErrorKind.FORBIDDEN
    code = "tenant_suspended"
    title = "Tenant suspended"
    message = "The credential is valid, but its tenant is suspended."


class NoSuchTenant(NotFound):
    message = "There is no tenant of this slug or id."


class SlugTaken(Conflict):
    message = "Another tenant already uses this slug."
    errors = not_unique("slug")


class TenantHasTargets(Conflict):
    """A tenant that is created later with this slug would be led to the deployment of the one before."""

    message = "Upstreams have targets of this tenant. Remove them (by_tenant) before you delete it."


class UnknownPlan(ValidationFailed):
    def __init__(self) -> None:
        super().__init__((FieldError("/plan", "unknown_plan", "No plan has this code."),))
