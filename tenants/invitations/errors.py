"""Errors of invitations."""

from tenants.errors import Conflict, RateLimited, ValidationFailed, not_unique


class AlreadyMember(Conflict):
    message = "This person is already a member of the tenant."
    errors = not_unique("email")


class AlreadyInvited(Conflict):
    message = "This address has a pending invitation. Send it again, or revoke it first."
    errors = not_unique("email")


class InvitationEnded(Conflict):
    message = "The invitation was accepted or revoked, or has expired. Create a new one."


class InvitationVoid(Conflict):
    message = (
        "The invitation is void: the person or key that sent it is gone or may not grant this role any more. Ask for a"
        " new one."
    )


class RoleDeleted(Conflict):
    message = "The role of the invitation was deleted. Ask for a new invitation."


class InvitedTooOften(RateLimited):
    """Messages to one address, and of one tenant, are limited: they go to people who did not ask for them."""

    message = "Too many invitations were sent to this address or by this tenant. Retry later."


class PasswordRequired(ValidationFailed):
    """A new person has sent no password. The link stays valid."""

    def __init__(self) -> None:
        message = "Choose a password for the new account."
        super().__init__(ValidationFailed.at("/password", "missing", message).errors)
