"""Puts identity together: the features that endpoints and command line call, and what recognises requests."""

from dataclasses import dataclass
from datetime import timedelta

from gateway.authorization.authorizer import Authorizer
from gateway.identity.cache import Channel, PrincipalCache
from gateway.identity.credential_loader import CredentialLoader
from gateway.identity.database_lookup import DatabaseLookup
from gateway.identity.principals import Principals
from gateway.settings import Settings
from tenants.api_keys.secret import SecretHasher
from tenants.api_keys.service import ApiKeys
from tenants.database.sessions import Database
from tenants.directory.service import Directory
from tenants.onboarding.service import Onboarding
from tenants.operator_keys.service import OperatorKeys
from tenants.sign_in.access_tokens import AccessTokens
from tenants.sign_in.sealing import Sealer
from tenants.sign_in.service import SignIn
from tenants.sign_in.signing_keys import SigningKeys
from tenants.users.passwords import PasswordHasher
from tenants.users.service import Users


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is known, and how they become known."""

    hasher: SecretHasher
    passwords: PasswordHasher
    api_keys: ApiKeys
    operator_keys: OperatorKeys
    users: Users
    directory: Directory
    onboarding: Onboarding
    tokens: AccessTokens
    sign_in: SignIn

    def close(self) -> None:
        """End the threads that hash passwords."""
        self.passwords.close()


def build_identity(settings: Settings, database: Database, authorizer: Authorizer) -> Identity:
    """The features. Raises ValueError when the signing keys cannot be used."""
    hasher, passwords = SecretHasher(settings.peppers), PasswordHasher()
    tokens = AccessTokens(
        SigningKeys.load(settings.signing_keys.get_secret_value()),
        issuer=settings.public_url,
        audience=settings.audience,
        lifetime=settings.access_token_seconds,
    )
    api_keys, users = ApiKeys(hasher, authorizer.permissions_of_roles), Users(passwords)
    sign_in = SignIn(
        database,
        hasher=hasher,
        passwords=passwords,
        tokens=tokens,
        sealer=Sealer(settings.secret),
        refresh_life=timedelta(days=settings.refresh_token_days),
    )
    return Identity(
        hasher=hasher,
        passwords=passwords,
        api_keys=api_keys,
        operator_keys=OperatorKeys(hasher),
        users=users,
        directory=Directory(),
        onboarding=Onboarding(api_keys, users),
        tokens=tokens,
        sign_in=sign_in,
    )


def build_principals(identity: Identity, database: Database, channel: Channel) -> Principals:
    """What recognises the credentials of requests, told of every change by the channel."""
    cache = PrincipalCache(channel)
    loader = DatabaseLookup(database, identity.hasher, identity.api_keys, identity.operator_keys)
    return Principals(cache, CredentialLoader(cache, loader.load), identity.tokens)
