"""What single sign-on needs of an identity provider. What can go wrong is in ``tenants/oidc/errors.py``."""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ProviderClient:
    """The tenant's registration at its provider."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    groups_claim: str | None = None


@dataclass(frozen=True, slots=True)
class Challenge:
    """What one sign-in sends and expects back. ``code_verifier`` goes to the token endpoint only (RFC 7636)."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuthorizationResponse:
    """What the browser brings back from the provider."""

    code: str = field(repr=False)
    issuer: str | None = None  # RFC 9207


@dataclass(frozen=True, slots=True)
class Identity:
    """A person, as the provider vouches for them. ``email`` is one that the provider has verified."""

    subject: str
    email: str
    name: str = ""
    groups: frozenset[str] = frozenset()
    methods: tuple[str, ...] = ()  # how the provider authenticated them, if it says so (RFC 8176)


class IdentityProvider(Protocol):
    """Any provider, by its issuer. Every call has a deadline and may raise IssuerUnusable."""

    async def check(self, issuer: str) -> None:
        """Return when the issuer has acceptable metadata now."""

    async def authorization_url(self, client: ProviderClient, challenge: Challenge) -> str:
        """Where to send the browser."""

    async def identity(self, client: ProviderClient, challenge: Challenge, response: AuthorizationResponse) -> Identity:
        """Who has signed in. Raises AnswerRefused."""
