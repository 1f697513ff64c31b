"""The only reader of the environment: ``TENANTRY_…`` variables, ``TENANTRY_…_FILE``, and a ``.env``."""

import base64
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, PostgresDsn, RedisDsn, SecretStr, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from billing.settings import StripeSettings
from gateway.throttle.settings import ThrottleSettings
from gateway.usage.settings import UsageSettings
from tenants.settings import DatabaseSettings, Pepper

PREFIX = "TENANTRY_"
_LEAST_SECRET = 32  # bytes


class Mode(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class _FileSource(PydanticBaseSettingsSource):
    """Reads ``TENANTRY_NAME_FILE`` as the path of a file that holds the value, as container secrets are given."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        value = Path(path).read_text(encoding="utf-8").strip() if path else None
        return value, field_name, self.field_is_complex(field)

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            value, key, _ = self.get_field_value(field, name)
            if value is not None:
                found[key] = value
        return found


class Settings(BaseSettings):
    """Every setting of the gateway and the worker. ``tenantry config`` lists them with their sources."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # a wrong database URL still holds its password (SE2)
    )

    mode: Annotated[Mode, Field(description="In production a missing or default secret refuses to start.")] = (
        Mode.PRODUCTION
    )
    public_url: Annotated[
        str, Field(description="Where callers reach the gateway: issuer of tokens, base of problem types.")
    ] = "http://127.0.0.1:8000"
    hosts: Annotated[
        list[str], NoDecode, Field(description="Host names that requests may carry, by commas; empty is any.")
    ] = []
    trusted_proxies: Annotated[
        list[str], NoDecode, Field(description="Addresses or networks whose X-Forwarded-For is believed, by commas.")
    ] = []
    security_contact: Annotated[
        str | None, Field(description="URI of security.txt's Contact; else security@ the public URL's host.")
    ] = None
    workers: Annotated[
        int, Field(ge=1, description="Worker processes over all hosts; shares of a limit without Redis.")
    ] = 1

    database_url: Annotated[PostgresDsn, Field(repr=False, description="The login role of the gateway's workers.")]
    owner_database_url: Annotated[
        PostgresDsn | None,
        Field(repr=False, description="Owns the schemas; only `tenantry migrate` needs it."),
    ] = None
    admin_database_url: Annotated[
        PostgresDsn | None,
        Field(repr=False, description="A superuser; when set, `tenantry migrate` first makes roles and database."),
    ] = None
    database_pool_size: Annotated[int, Field(ge=1, le=200, description="Connections of one worker.")] = 10
    redis_url: Annotated[
        RedisDsn | None, Field(repr=False, description="Counters of limits; without it each worker counts its share.")
    ] = None

    key_peppers: Annotated[
        SecretStr,
        Field(description="`version:base64` by commas, newest first; credentials are hashed under them."),
    ]
    secret_key: Annotated[SecretStr, Field(description="Base64 of at least 32 bytes; signs cursors, seals answers.")]
    signing_keys: Annotated[
        SecretStr, Field(description="A JWK Set of private Ed25519 keys; the first signs, all verify.")
    ]
    audience: Annotated[str, Field(description="`aud` of access tokens.")] = "tenantry"
    access_token_seconds: Annotated[int, Field(ge=60, le=900)] = 900
    refresh_token_days: Annotated[int, Field(ge=1, le=90)] = 30

    stripe_api_key: Annotated[SecretStr | None, Field(description="Stripe secret key; without it billing is off.")] = (
        None
    )
    stripe_webhook_secrets: Annotated[
        SecretStr | None,
        Field(description="Signing secrets of the webhook endpoint, by commas (several while rotating)."),
    ] = None
    stripe_api_base: Annotated[str, Field(description="Another base URL for Stripe's API, as the stand-in's.")] = (
        "https://api.stripe.com"
    )
    stripe_livemode: Annotated[bool, Field(description="Events of the other mode are refused.")] = True

    resources: Annotated[
        str | None, Field(description="Module whose RESOURCES are served, such as `examples.crm.resources`.")
    ] = None
    body_limit: Annotated[int, Field(ge=1024, description="Bytes of a request body.")] = 1_048_576
    usage_folder: Annotated[
        Path,
        Field(description="Journals of what was used, of this deployment alone; must outlive a worker's restart."),
    ] = Path(".tenantry/usage")
    usage_journal_megabytes: Annotated[
        int, Field(ge=4, le=65_536, description="Of one worker's journal while PostgreSQL is down; then 503.")
    ] = 256
    usage_flush_seconds: Annotated[
        float, Field(ge=0.1, le=60, description="Between two roll-ups of a worker's journal into PostgreSQL.")
    ] = 10.0
    access_log_share: Annotated[
        float, Field(ge=0, le=1, description="Of requests answered well, the share that leaves a line; all others do.")
    ] = 1.0
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"

    SECRET_FIELDS: ClassVar[frozenset[str]] = frozenset(
        {"key_peppers", "secret_key", "signing_keys", "stripe_api_key", "stripe_webhook_secrets"}
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then files that it names, then ``.env``."""
        return init_settings, env_settings, _FileSource(settings_cls), dotenv_settings, file_secret_settings

    @field_validator("hosts", "trusted_proxies", mode="before")
    @classmethod
    def _by_commas(cls, value: object) -> object:
        return [each.strip() for each in value.split(",") if each.strip()] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _strong_secrets(self) -> Self:
        if len(self.secret) < _LEAST_SECRET:
            raise ValueError(f"TENANTRY_SECRET_KEY must be base64 of at least {_LEAST_SECRET} bytes")
        if self.mode is Mode.PRODUCTION and self.stripe_api_key and not self.stripe_webhook_secrets:
            raise ValueError("TENANTRY_STRIPE_WEBHOOK_SECRETS is missing while TENANTRY_STRIPE_API_KEY is set")
        _ = self.peppers
        return self

    @property
    def secret(self) -> bytes:
        """The bytes of ``secret_key``."""
        return base64.b64decode(self.secret_key.get_secret_value(), validate=True)

    @property
    def peppers(self) -> tuple[Pepper, ...]:
        """Newest first: the first hashes new credentials, all are tried on old ones."""
        return tuple(_pepper(each) for each in self.key_peppers.get_secret_value().split(","))

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """Secrets of the Stripe webhook endpoint; several while one is being rotated."""
        given = self.stripe_webhook_secrets
        return tuple(each.strip() for each in given.get_secret_value().split(",")) if given else ()

    @property
    def stripe(self) -> StripeSettings | None:
        """What billing needs; None when billing is off."""
        if self.stripe_api_key is None:
            return None
        return StripeSettings(
            api_key=self.stripe_api_key.get_secret_value(),
            webhook_secrets=self.webhook_secrets,
            livemode=self.stripe_livemode,
            api_base=self.stripe_api_base,
        )

    @property
    def database(self) -> DatabaseSettings:
        """What ``tenants/database`` needs."""
        return DatabaseSettings(url=str(self.database_url), pool_size=self.database_pool_size)

    @property
    def throttle(self) -> ThrottleSettings:
        """What ``gateway/throttle`` needs."""
        return ThrottleSettings(redis_url=str(self.redis_url) if self.redis_url else None, workers=self.workers)

    @property
    def usage(self) -> UsageSettings:
        """What ``gateway/usage`` needs."""
        return UsageSettings(self.usage_folder, self.usage_journal_megabytes * 2**20, self.usage_flush_seconds)


def _pepper(text: str) -> Pepper:
    version, _, secret = text.strip().partition(":")
    decoded = base64.b64decode(secret, validate=True)
    if not version.isdigit() or len(decoded) < _LEAST_SECRET:
        raise ValueError(f"TENANTRY_KEY_PEPPERS takes version:base64 of at least {_LEAST_SECRET} bytes, by commas")
    return Pepper(int(version), decoded)
