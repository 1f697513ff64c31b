"""What throttling refuses with."""

from tenants.errors import ErrorKind, TenantryError


class RateLimited(TenantryError):
    """A window of the plan, or of the key, holds no more. ``retry_after`` is in whole seconds, and enough (TH6)."""

    kind = ErrorKind.THROTTLED
    code = "rate_limited"
    title = "Too many requests"
    message = "A rate limit of the plan is used up. Try again after the seconds that Retry-After names."
    retry_after = 1
