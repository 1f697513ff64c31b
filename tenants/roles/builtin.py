"""The roles that every tenant has. What each may do is the gateway's to say (``gateway/authorization``)."""

from collections.abc import Iterable
from enum import StrEnum


class BuiltInRole(StrEnum):
    """From the widest to the narrowest."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


_RANKS = {role.value: rank for rank, role in enumerate(reversed(BuiltInRole), start=1)}


def is_within(role: BuiltInRole, held: Iterable[str]) -> bool:
    """Whether somebody with the roles ``held`` may give this one: nobody gives a wider one than their own (AZ5)."""
    return _RANKS[role] <= max((_RANKS.get(each, 0) for each in held), default=0)
