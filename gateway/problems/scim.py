"""Errors of SCIM (RFC 7644 section 3.12), which replace problem documents on its routes.

Identity providers read ``status`` and ``scimType``, and show ``detail`` to their admins.
"""

from tenants.errors import ErrorKind, TenantryError
from tenants.scim.errors import scim_type_of

SCIM_MEDIA_TYPE = "application/scim+json"
ERROR_MESSAGE = "urn:ietf:params:scim:api:messages:2.0:Error"


def scim_error(error: TenantryError, status: int) -> dict[str, object]:
    """The body of an error. Nothing in it depends on caller input."""
    faults = "".join(f" {each.pointer}: {each.message}" for each in error.errors)
    body: dict[str, object] = {"schemas": [ERROR_MESSAGE], "status": str(status), "detail": error.message + faults}
    keyword = scim_type_of(error) or _general(error)
    return body if keyword is None else body | {"scimType": keyword}


def _general(error: TenantryError) -> str | None:
    if error.kind is ErrorKind.INVALID:
        return "invalidValue"
    return "invalidSyntax" if error.code == "malformed_request" else None
