"""Errors of sign-up."""

from tenants.errors import Conflict, FieldError, Forbidden, ValidationFailed, not_unique


class SignUpClosed(Forbidden):
    message = "This deployment accepts no sign-ups. Ask for an invitation."


class SlugInUse(Conflict):
    message = "Another tenant uses this slug, or is about to. Choose another one, or retry in an hour."
    errors = not_unique("tenant/slug")


class SlugLost(Conflict):
    message = "Another tenant has been given this slug meanwhile. Sign up again with another one."


class AddressInUse(Conflict):
    message = "This address has been given an account meanwhile. Sign in with it."


class NotThePassword(ValidationFailed):
    def __init__(self) -> None:
        super().__init__((FieldError("/password", "incorrect", "Not the password that was chosen at sign-up."),))
