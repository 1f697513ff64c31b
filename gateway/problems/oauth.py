"""Errors of OAuth 2.0 (RFC 6749 section 5.2), which replace problem documents at the token endpoint.

Members beyond the RFC's are ours; clients ignore those that they do not know.
"""

import re

from tenants.errors import ErrorKind, TenantryError
from tenants.oauth.errors import oauth_error_of

OAUTH_MEDIA_TYPE = "application/json"
CHALLENGE = 'Basic realm="tenantry"'
_KEYWORDS = {
    ErrorKind.UNAUTHENTICATED: "invalid_client",
    ErrorKind.FORBIDDEN: "unauthorized_client",
    ErrorKind.THROTTLED: "temporarily_unavailable",
    ErrorKind.UNAVAILABLE: "temporarily_unavailable",
    ErrorKind.INTERNAL: "server_error",
}
_NOT_ALLOWED = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")  # in a description


def oauth_keyword(error: TenantryError | type[TenantryError]) -> str:
    """The ``error`` of a response."""
    return oauth_error_of(error) or _KEYWORDS.get(error.kind, "invalid_request")


def oauth_error(error: TenantryError, request_id: str, page: str) -> dict[str, str]:
    """The body of an error. ``page`` says what the code means. Nothing in it depends on caller input."""
    faults = "".join(f" {each.pointer}: {each.message}" for each in error.errors)
    return {
        "error": oauth_keyword(error),
        "error_description": _NOT_ALLOWED.sub("'", error.message + faults),
        "error_uri": page,
        "code": error.code,
        "request_id": request_id,
    }
