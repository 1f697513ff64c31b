"""Errors of the throttle. A refusal names the window or the limit that refused."""

from billing.plans.errors import EntitlementRequired
from gateway.throttle.windows import Limit
from tenants.errors import ErrorKind, RateLimited, TenantryError


class ConcurrencyLimited(TenantryError):
    """The tenant has as many requests in flight as its plan allows.

    ``retry_after`` is the tenant's typical request duration in whole seconds: an estimate, since it is not known when
    a request completes, and which one takes its place.
    """

    kind = ErrorKind.THROTTLED
    code = "concurrency_limited"
    title = "Concurrency limit reached"
    message = "Concurrency limit reached. Retry when a request completes."
    retry_after = 1


class CostBeyondLimits(EntitlementRequired):
    """The cost of the request exceeds the quota of a window, so no wait helps (TH6)."""

    message = "The cost of this request exceeds the quota of a rate limit of the plan or of the API key."


def rate_limited(window: Limit, account: str, retry_after: int) -> RateLimited:
    """The refusal by this window."""
    size = f"{window.quota} per {window.seconds} s"
    return RateLimited(
        f'Rate limit "{window.name}" ({size}) exceeded. Retry after the number of seconds in the Retry-After header.',
        detail=f'window "{window.name}" ({size}) of account {account}',
        retry_after=retry_after,
    )


def concurrency_limited(limit: int, account: str, retry_after: int) -> ConcurrencyLimited:
    """The refusal of a request beyond ``limit`` in flight."""
    return ConcurrencyLimited(
        f"Concurrency limit of {limit} reached. Retry when a request completes.",
        detail=f"concurrency limit {limit} of account {account}",
        retry_after=retry_after,
    )
