"""What can be wrong with a credential. 401 only ever means the credential, never an outage."""

from tenants.errors import ErrorKind, TenantryError


class CredentialMissing(TenantryError):
    kind = ErrorKind.UNAUTHENTICATED
    code = "credential_missing"
    title = "Credential missing"
    message = "Send an API key or an access token, as Authorization: Bearer or X-API-Key."


class CredentialInvalid(TenantryError):
    """Unknown, malformed, ambiguous, or not for us: which of these is never told."""

    kind = ErrorKind.UNAUTHENTICATED
    code = "credential_invalid"
    title = "Credential invalid"
    message = "The credential is not one that is accepted here."


class CredentialExpired(TenantryError):
    kind = ErrorKind.UNAUTHENTICATED
    code = "credential_expired"
    title = "Credential expired"
    message = "The credential was good once; its time is over."


class CredentialRevoked(TenantryError):
    kind = ErrorKind.UNAUTHENTICATED
    code = "credential_revoked"
    title = "Credential revoked"
    message = "The credential has been revoked."
