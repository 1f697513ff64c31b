"""Errors of people's sessions."""

from tenants.errors import Forbidden


class LongerPasswordNeeded(Forbidden):
    """After a right password: the second factor that made a short one enough is gone (docs/decisions/0046)."""

    message = (
        "Your password has fewer than 15 characters, which is not enough without a second factor. Request a link to set"
        " a longer one."
    )


class BoundToTenant(Forbidden):
    message = (
        "You are signed in through single sign-on, which is valid for this tenant alone. Sign in to the other one."
    )
