"""The error of an upstream that no request can be sent to now."""

from tenants.errors import Unavailable


class NoTarget(Unavailable):
    """Every target of the upstream is unhealthy. ``retry_after`` is when the next check or probe is due."""

    message = "No server of this service is available. Retry later."
