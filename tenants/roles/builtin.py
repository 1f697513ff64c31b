"""The roles that every tenant has. What each may do is the gateway's to say (``gateway/authorization``)."""

from enum import StrEnum


class BuiltInRole(StrEnum):
    """From the widest to the narrowest."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"
