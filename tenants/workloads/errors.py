"""Errors of workload rules."""

from tenants.errors import Conflict, Unavailable


class TooManyWorkloadRules(Conflict):
    message = "The tenant has the maximum number of workload rules. Delete one that is not used."


class IssuerUnavailable(Unavailable):
    message = "The issuer of the subject token does not publish its keys now. Retry later."
    retry_after = 5
