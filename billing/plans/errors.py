"""Errors of plans."""

from tenants.errors import ErrorKind, TenantryError


class EntitlementRequired(TenantryError):
    """The tenant's plan does not include what was requested. Retrying does not help; a larger plan does."""

    kind = ErrorKind.FORBIDDEN
    code = "entitlement_required"
    title = "Plan upgrade required"
    message = "The tenant's plan does not include this. Upgrade the plan to use it."


class TooManyMembers(EntitlementRequired):
    message = (
        "The plan of the tenant includes no more members; pending invitations count. Upgrade the plan, remove members,"
        " or revoke invitations."
    )
