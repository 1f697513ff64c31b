"""Errors of credentials. They always mean the credential, never an outage."""

from tenants.errors import ErrorKind, TenantryError


class CredentialMissing(TenantryError):
    kind = ErrorKind.UNAUTHENTICATED
    code = "credential_missing"
    title = "Credential missing"
    message = "An API key or access token is required."


class CredentialInvalid(TenantryError):
    """Unknown, malformed, ambiguous or issued for another audience; the response does not say which."""

    kind = ErrorKind.UNAUTHENTICATED
    code = "credential_invalid"
    title = "Credential invalid"
    message = "The API key or access token is invalid."


class CredentialExpired(TenantryError):
    kind = ErrorKind.UNAUTHENTICATED
    code = "credential_expired"
    title = "Credential expired"
    message = "The API key or access token has expired."


class CredentialRevoked(TenantryError):
    kind = ErrorKind.UNAUTHENTICATED
    code = "credential_revoked"
    title = "Credential revoked"
    message = "The API key or access token has been revoked."
