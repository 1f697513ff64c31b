"""Settings of credentials: the secrets that hash, seal and sign, and how long tokens live."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from gateway.settings.values import StrongSecret, secret_bytes
from tenants.secrets.sealing import SealingKey
from tenants.settings import Pepper
from tenants.sign_in.signing_keys import SigningKeys

_SECRET_KEY_VERSION = 1  # written into every sealed value, so that another key can follow


def _peppers(text: str) -> tuple[Pepper, ...]:
    parts = [each.strip().partition(":") for each in text.split(",")]
    if not all(version.isdecimal() for version, _, _ in parts) or len({int(each[0]) for each in parts}) != len(parts):
        raise ValueError("must be version:base64 separated by commas, each version a different whole number")
    return tuple(Pepper(int(version), secret_bytes(secret)) for version, _, secret in parts)


def _peppered(value: SecretStr) -> SecretStr:
    _ = _peppers(value.get_secret_value())
    return value


def _signing(value: SecretStr) -> SecretStr:
    _ = SigningKeys.load(value.get_secret_value())
    return value


class CredentialGroup(BaseModel):
    """Secrets and tokens."""

    key_peppers: Annotated[
        SecretStr,
        AfterValidator(_peppered),
        Field(description="`version:base64` separated by commas, newest first; credentials are hashed with them."),
    ]
    secret_key: Annotated[
        StrongSecret, Field(description="Base64 of at least 32 bytes; signs cursors and seals stored secrets.")
    ]
    signing_keys: Annotated[
        SecretStr,
        AfterValidator(_signing),
        Field(description="JWK Set of private Ed25519 keys; the first signs access tokens, all verify them."),
    ]
    audience: Annotated[str, Field(description="`aud` of access tokens.")] = "tenantry"
    access_token_seconds: Annotated[
        int, Field(ge=60, le=900, description="Lifetime of an access token, in seconds.")
    ] = 900
    refresh_token_days: Annotated[int, Field(ge=1, le=90, description="Lifetime of a refresh token, in days.")] = 30
    sign_up_plan: Annotated[
        str | None,
        Field(description="Code of the plan of tenants that people sign up for; without it, sign-up is closed."),
    ] = None

    @property
    def secret(self) -> bytes:
        """The bytes of ``secret_key``."""
        return secret_bytes(self.secret_key.get_secret_value())

    @property
    def sealing_keys(self) -> tuple[SealingKey, ...]:
        """Newest first: the first seals, all open."""
        return (SealingKey(_SECRET_KEY_VERSION, self.secret),)

    @property
    def peppers(self) -> tuple[Pepper, ...]:
        """Newest first: the first hashes new credentials, all are tried on old ones."""
        return _peppers(self.key_peppers.get_secret_value())
