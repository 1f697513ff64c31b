"""What throttling refuses with."""

from billing.plans.errors import EntitlementRequired
from tenants.errors import ErrorKind, TenantryError


class RateLimited(TenantryError):
    """A window of the plan, or of the key, holds no more. ``retry_after`` is in whole seconds, and enough (TH6)."""

    kind = ErrorKind.THROTTLED
    code = "rate_limited"
    title = "Too many requests"
    message = "A rate limit of the plan is used up. Try again after the seconds that Retry-After names."
    retry_after = 1


class ConcurrencyLimited(TenantryError):
    """Every slot of the tenant is in use. ``retry_after`` is as long as its requests take, in whole seconds.

    Nobody knows when a slot comes free and who asks for it first, so this one promises nothing.
    """

    kind = ErrorKind.THROTTLED
    code = "concurrency_limited"
    title = "Too many requests at once"
    message = "As many requests are in flight as the plan allows at once. Send the next one when another was answered."
    retry_after = 1


class CostBeyondLimits(EntitlementRequired):
    """A request that costs more than a window holds would be refused for ever: no wait can be named (TH6)."""

    message = "A request to this route costs more than a rate limit of the plan, or of the API key, holds as a whole."
