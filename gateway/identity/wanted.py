"""What can be asked of the database about a credential, read from the credential alone."""

from dataclasses import dataclass

from tenants.secrets.tokens import SecretKind
from tenants.sign_in.access_tokens import AccessClaims


@dataclass(frozen=True, slots=True)
class Secret:
    """A well-formed API key or operator key."""

    kind: SecretKind
    text: str


Wanted = Secret | AccessClaims
