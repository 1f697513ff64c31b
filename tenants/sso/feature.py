"""Single sign-on, put together from its parts."""

from collections.abc import Sequence
from dataclasses import dataclass

from tenants.audit.refusals import Refusals
from tenants.database.sessions import Database
from tenants.oidc.discovery import Discovery
from tenants.outbound.client import OutboundClient
from tenants.roles.service import Roles
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.sealing import Sealer, SealingKey
from tenants.sign_in.service import SignIn
from tenants.sso.admission import Admission
from tenants.sso.connections import CLIENT_SECRET, Connections
from tenants.sso.domains import DnsTxtRecords
from tenants.sso.oidc import OidcProvider
from tenants.sso.proofs import Domains
from tenants.sso.service import SsoSignIn

CALLBACK = "/v1/auth/sso/callback"  # registered at every provider, below the public URL


@dataclass(frozen=True, slots=True)
class SsoSettings:
    """What a deployment sets for single sign-on."""

    secret: bytes
    sealing_keys: Sequence[SealingKey]
    public_url: str
    allowed_origins: Sequence[str]  # to which people may return, beside each tenant's own
    dns_servers: Sequence[str]
    allow_loopback_http: bool  # providers at http://localhost, for development


@dataclass(frozen=True, slots=True)
class SingleSignOn:
    """People of a tenant who sign in at its own identity provider."""

    connections: Connections
    domains: Domains
    sign_in: SsoSignIn


def build_single_sign_on(
    database: Database,
    settings: SsoSettings,
    *,
    outbound: OutboundClient,
    discovery: Discovery,
    hasher: SecretHasher,
    roles: Roles,
    admission: Admission,
    sign_in: SignIn,
    refusals: Refusals,
) -> SingleSignOn:
    """Connections and sign-ins ask the same provider."""
    provider = OidcProvider(outbound, discovery)
    connections = Connections(
        database,
        roles=roles,
        provider=provider,
        sealer=Sealer(settings.sealing_keys, CLIENT_SECRET),
        redirect_uri=f"{settings.public_url.rstrip('/')}{CALLBACK}",
        allow_loopback_http=settings.allow_loopback_http,
    )
    return SingleSignOn(
        connections=connections,
        domains=Domains(database, DnsTxtRecords(settings.dns_servers)),
        sign_in=SsoSignIn(
            database,
            hasher=hasher,
            provider=provider,
            connections=connections,
            admission=admission,
            sign_in=sign_in,
            refusals=refusals,
            secret=settings.secret,
            public_url=settings.public_url,
            allowed_origins=settings.allowed_origins,
        ),
    )
