"""The roles of operator keys: what the SaaS's own staff and services may do on operator routes."""

from enum import StrEnum


class OperatorRole(StrEnum):
    """A role holds what is written here and nothing of another one."""

    ADMIN = "admin"  # every operator route
    SUPPORT = "support"  # reads what operators can read, and changes nothing
    VERIFIER = "verifier"  # asks for decisions on credentials, for a service that enforces them itself
