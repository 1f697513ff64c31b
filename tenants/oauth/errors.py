"""Errors of token requests. ``oauth_error`` is the code of RFC 6749 section 5.2, RFC 8693 or RFC 8707."""

from typing import ClassVar

from tenants.credentials import CredentialInvalid
from tenants.errors import TenantryError, ValidationFailed


class WithOAuthError:
    """Beside an error class: its code in an OAuth error."""

    oauth_error: ClassVar[str]


class InvalidTokenRequest(WithOAuthError, ValidationFailed):
    oauth_error = "invalid_request"
    message = "A parameter is missing, repeated or has a wrong value."


class UnsupportedGrantType(WithOAuthError, ValidationFailed):
    oauth_error = "unsupported_grant_type"
    message = "The grant type is not supported. Send client_credentials or the one of token exchange."


class InvalidScope(WithOAuthError, ValidationFailed):
    oauth_error = "invalid_scope"
    message = "The scope has a permission that the credential does not have. Ask for permissions that it has."


class InvalidTarget(WithOAuthError, ValidationFailed):
    oauth_error = "invalid_target"
    message = "Tokens are issued for this API alone. Leave out resource and audience."


class InvalidClient(WithOAuthError, CredentialInvalid):
    oauth_error = "invalid_client"
    message = "The client cannot be authenticated. Send an API key as the client secret, by one method alone."


class SubjectTokenRefused(WithOAuthError, CredentialInvalid):
    """One error for every reason, an unknown rule included; the log has the reason (RFC 8693 section 2.2.2)."""

    oauth_error = "invalid_request"
    message = "No enabled workload rule of this id accepts the subject token. The audit log has refusals by rule."


def oauth_error_of(error: TenantryError | type[TenantryError]) -> str | None:
    """The code of an error, or of an error class, of this feature; None for any other."""
    kind = error if isinstance(error, type) else type(error)
    return kind.oauth_error if issubclass(kind, WithOAuthError) else None
