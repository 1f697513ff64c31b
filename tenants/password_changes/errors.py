"""Errors of changing a password."""

from tenants.errors import FieldError, Forbidden, ValidationFailed


class WrongPassword(ValidationFailed):
    """The access token is good, so this is not 401."""

    def __init__(self) -> None:
        super().__init__((FieldError("/current_password", "incorrect", "Not your current password."),))


class MailOff(Forbidden):
    message = "This deployment sends no mail. Ask its operator for help."
