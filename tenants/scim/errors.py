"""Errors of SCIM. ``scim_type`` is the detail error keyword of RFC 7644 section 3.12."""

from typing import ClassVar

from tenants.errors import Conflict, TenantryError, ValidationFailed, not_unique


class WithScimType:
    """Beside an error class: its keyword in a SCIM error."""

    scim_type: ClassVar[str]


class InvalidFilter(WithScimType, ValidationFailed):
    scim_type = "invalidFilter"
    message = "The filter is not supported. Compare listed attributes with eq, joined by and."


class InvalidPath(WithScimType, ValidationFailed):
    scim_type = "invalidPath"
    message = "The path of an operation names no attribute that can be changed in this way."


class NoTarget(WithScimType, ValidationFailed):
    scim_type = "noTarget"
    message = "The path of an operation is missing, or its filter matches no value."


class ReadOnlyAttribute(WithScimType, ValidationFailed):
    scim_type = "mutability"
    message = "The attribute is read-only."


class InvalidValue(WithScimType, ValidationFailed):
    scim_type = "invalidValue"
    message = "A value is missing or invalid."


class NoAddress(InvalidValue):
    message = "A new user needs an e-mail address, in emails or as userName."


class NoSuchUser(InvalidValue):
    message = "A member is not a user that was provisioned with SCIM in this tenant."


class TooManyGroupMembers(InvalidValue):
    message = "A group has at most 5,000 members. Divide it into several groups."


class UserNameTaken(WithScimType, Conflict):
    scim_type = "uniqueness"
    message = "Another user of the tenant has this userName."
    errors = not_unique("userName")


class AlreadyProvisioned(WithScimType, Conflict):
    scim_type = "uniqueness"
    message = "The person with this e-mail address is already a user of the tenant, with another userName."


class GroupNameTaken(WithScimType, Conflict):
    scim_type = "uniqueness"
    message = "Another group of the tenant has this displayName."
    errors = not_unique("displayName")


def scim_type_of(error: TenantryError) -> str | None:
    """The keyword of an error of this feature; None for any other."""
    return error.scim_type if isinstance(error, WithScimType) else None
