"""Errors of second factors."""

from tenants.credentials import CredentialInvalid
from tenants.errors import Conflict, FieldError, Forbidden, NotFound, RateLimited, ValidationFailed


class MfaRefused(CredentialInvalid):
    """One error for a token that is unknown, used, expired or of an earlier password, and for a wrong or used code."""

    message = "The code or passkey was not accepted, or the sign-in has expired. Use a new code, or sign in again."


class MfaDelayed(RateLimited):
    """Too many wrong codes or passwords of one person. The attempt is admitted after ``retry_after``."""

    message = "Too many failed attempts. Retry later."


class ProofRefused(Forbidden):
    """Not 401: the access token is valid, and a client must not discard it."""

    message = "Confirm the change with an accepted second factor, or with your password if you have no second factor."


class FederatedSession(Forbidden):
    """A tenant's identity provider speaks for that tenant alone; second factors belong to the person everywhere."""

    message = "You are signed in through single sign-on. Sign in with your password or a passkey to use second factors."


class PasskeyNotAccepted(ValidationFailed):
    """A registration that does not hold; the reason is in the log."""

    def __init__(self, detail: str) -> None:
        message = "Not accepted. Request new options and try again."
        super().__init__((FieldError("/passkey", "not_accepted", message),), detail=detail)


class NotEnrolled(NotFound):
    message = "There is no such second factor."


class NothingToConfirm(Conflict):
    message = "No authenticator app waits for its first code. Begin again."


class PasskeyKnown(Conflict):
    message = "This passkey is registered already."


class TooManyPasskeys(Conflict):
    message = "A person has at most 20 passkeys. Remove one first."


class LastFactor(Conflict):
    message = "A tenant that you belong to requires a second factor. Add another one before you remove the last one."


class ShortPassword(Conflict):
    """It would stay behind alone."""

    message = (
        "Your password has fewer than 15 characters, which needs a second factor. Set a longer one before you remove"
        " the last factor."
    )


class OwnReset(Forbidden):
    """A reset needs no proof, so nobody resets their own, and no key those of the person who made it."""

    message = "Remove your own second factors at /v1/auth/mfa and /v1/auth/passkeys, which asks you to confirm."


class FactorsBeyondTenant(Conflict):
    """A tenant does not lower the protection of another one."""

    message = "Only the operators of the service can reset the second factors of this person."
