"""Errors of people's sessions."""

from tenants.credentials import CredentialRevoked
from tenants.errors import Forbidden


class LongerPasswordNeeded(Forbidden):
    """After a right password: the second factor that made a short one enough is gone (docs/decisions/0046)."""

    message = (
        "Your password has fewer than 15 characters, which is not enough without a second factor. Request a link to set"
        " a longer one."
    )


class TokenReused(CredentialRevoked):
    """A refresh token that was used before: the whole sign-in has ended by now, with its access tokens."""


class BoundToTenant(Forbidden):
    message = (
        "You are signed in through single sign-on, which is valid for this tenant alone. Sign in to the other one."
    )
