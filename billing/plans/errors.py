"""What a plan refuses with."""

from tenants.errors import ErrorKind, TenantryError


class EntitlementRequired(TenantryError):
    """The tenant would have to be entitled to more than its plan holds. To wait changes nothing; a bigger plan does."""

    kind = ErrorKind.FORBIDDEN
    code = "entitlement_required"
    title = "Not part of the plan"
    message = "The plan of this tenant does not include this."
