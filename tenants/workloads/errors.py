"""Errors of workload rules."""

from tenants.errors import Conflict, Forbidden, Unavailable
from tenants.roles.permissions import SERVICE_KEYS_CREATE


class NoWorkloadRules(Forbidden):
    message = (
        f"A workload rule is the tenant's own. It is made or widened with the permission {SERVICE_KEYS_CREATE}, by a"
        " person or by a key of the tenant itself that neither expires nor has limits."
    )


class TooManyWorkloadRules(Conflict):
    message = "The tenant has the maximum number of workload rules. Delete one that is not used."


class IssuerUnavailable(Unavailable):
    message = "The issuer of the subject token does not publish its keys now. Retry later."
    retry_after = 5
