"""What a caller is told when nothing stored may be used."""

from tenants.errors import ErrorKind, TenantryError


class NotStored(TenantryError):
    """504 for ``only-if-cached`` (RFC 9111 section 5.2.1.7)."""

    kind = ErrorKind.UPSTREAM_TIMEOUT
    code = "upstream_timeout"
    title = "Not in the cache"
    message = "No stored answer can be used, and the request forbids to ask the upstream service (only-if-cached)."
