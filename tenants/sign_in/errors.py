"""Errors of people's sessions."""

from tenants.credentials import CredentialRevoked
from tenants.errors import Forbidden


class TokenReused(CredentialRevoked):
    """A refresh token that was used before: the whole sign-in has ended by now, with its access tokens."""


class BoundToTenant(Forbidden):
    message = (
        "You are signed in through single sign-on, which is valid for this tenant alone. Sign in to the other one."
    )
