"""The roles that every tenant has."""

from enum import StrEnum


class BuiltInRole(StrEnum):
    """From the widest to the narrowest; ``permissions.py`` says what each of them holds."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


BUILT_IN_ROLES = frozenset(role.value for role in BuiltInRole)
