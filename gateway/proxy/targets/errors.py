"""The error of an upstream that no request can be sent to now."""

from tenants.errors import Unavailable


class NoTarget(Unavailable):
    """Every target of the upstream is unhealthy. ``retry_after`` is when one can be healthy again."""

    message = "No server of this service is available. Retry later."
