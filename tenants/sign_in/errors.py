"""Errors of people's sessions."""

from tenants.errors import Forbidden


class BoundToTenant(Forbidden):
    message = (
        "You are signed in through single sign-on, which is valid for this tenant alone. Sign in to the other one."
    )
