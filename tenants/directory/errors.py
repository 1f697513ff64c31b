"""What can be wrong with a tenant itself."""

from tenants.errors import Conflict, ErrorKind, FieldError, TenantryError, ValidationFailed


class TenantSuspended(TenantryError):
    kind = ErrorKind.FORBIDDEN
    code = "tenant_suspended"
    title = "Tenant suspended"
    message = "The credential is valid, but its tenant has been suspended."


class SlugTaken(Conflict):
    message = "Another tenant has this slug."


class UnknownPlan(ValidationFailed):
    def __init__(self) -> None:
        super().__init__((FieldError("/plan", "unknown_plan", "There is no plan of this code."),))
