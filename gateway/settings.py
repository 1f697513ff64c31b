"""The only reader of the environment: ``TENANTRY_…`` variables, ``TENANTRY_…_FILE``, and a ``.env``."""

import base64
import os
import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, PostgresDsn, RedisDsn, SecretStr, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from billing.settings import StripeSettings
from gateway.throttle.settings import ThrottleSettings
from gateway.usage.settings import UsageSettings
from tenants.secrets.sealing import SealingKey
from tenants.settings import DatabaseSettings, Pepper
from tenants.sign_in.signing_keys import SigningKeys

PREFIX = "TENANTRY_"
_LEAST_SECRET = 32  # bytes
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_CONTACT = re.compile(r"(?:https|mailto|tel):[\x21-\x7e]+")  # RFC 9116 section 2.5.3


class Mode(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for the value of a file that cannot be read, until validation refuses it under the setting's name."""

    reason: str

    def __str__(self) -> str:
        return "unreadable"


class _FileSource(PydanticBaseSettingsSource):
    """Reads ``TENANTRY_NAME_FILE`` as the path of a file that holds the value, as container secrets are given."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        return _content(path) if path else None, field_name, self.field_is_complex(field)

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            value, key, _ = self.get_field_value(field, name)
            if value:  # an empty file is as good as none, as an empty variable is
                found[key] = value
        return found


def _content(path: str) -> str | Unreadable:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        return Unreadable(f"{path} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        return Unreadable(f"{path} cannot be read: it is not UTF-8")


class Settings(BaseSettings):
    """Every setting of the gateway and the worker. ``tenantry config`` lists them with their sources."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,  # an empty secret is a missing one
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
    takes_over: Annotated[
        bool, Field(description="Another worker stood here before: without Redis, its share counts as spent at first.")
    ] = False
    stop_notice_seconds: Annotated[
        float, Field(ge=0, le=120, description="After SIGTERM, time to serve on with /readyz at 503 before stopping.")
    ] = 5.0

    database_url: Annotated[PostgresDsn, Field(repr=False, description="The login role of the gateway's workers.")]
    owner_database_url: Annotated[
        PostgresDsn | None,
        Field(repr=False, description="Owns the schemas; only `tenantry migrate` needs it."),
    ] = None
    admin_database_url: Annotated[
        PostgresDsn | None,
        Field(repr=False, description="A superuser; when set, `tenantry migrate` first makes roles and database."),
    ] = None
    database_pool_size: Annotated[
        int, Field(ge=2, le=200, description="Connections of one worker at most, beside the one that listens.")
    ] = 10
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
    metrics_folder: Annotated[
        Path | None,
        Field(description="Where the workers of one host put their metrics together; else a temporary folder."),
    ] = None
    metrics_networks: Annotated[
        list[str], NoDecode, Field(description="Addresses or networks that may read /metrics, by commas.")
    ] = ["127.0.0.0/8", "::1"]
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

    @field_validator("*", mode="before")
    @classmethod
    def _readable(cls, value: object) -> object:
        if isinstance(value, Unreadable):
            raise ValueError(value.reason)  # noqa: TRY004 - what validation reports; a TypeError would pass through it
        return value

    @field_validator("hosts", "trusted_proxies", "metrics_networks", mode="before")
    @classmethod
    def _separated(cls, value: object) -> object:
        return _by_commas(value) if isinstance(value, str) else value

    @field_validator("hosts")
    @classmethod
    def _named(cls, value: list[str]) -> list[str]:
        # One that no Host can equal, such as a URL, would have every request refused.
        if not all(_HOST_NAME.fullmatch(each) for each in value):
            raise ValueError("must be host names by commas, without scheme, port or wildcard")
        return value

    @field_validator("trusted_proxies", "metrics_networks")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        try:
            _ = [ip_network(each) for each in value]
        except ValueError as error:
            message = "must be addresses or networks by commas, with no bit set beyond the prefix"
            raise ValueError(message) from error
        return value

    @field_validator("security_contact")
    @classmethod
    def _answerable(cls, value: str | None) -> str | None:
        if value is not None and not _CONTACT.fullmatch(value):
            raise ValueError("must be a mailto:, https: or tel: URI")
        return value

    @field_validator("stripe_webhook_secrets")
    @classmethod
    def _secretive(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _by_commas(value.get_secret_value()):
            raise ValueError("holds no secret")
        return value

    @field_validator("public_url", "stripe_api_base")
    @classmethod
    def _reachable(cls, value: str) -> str:
        url = urlsplit(value)
        if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
            raise ValueError("must be an http or https URL, without a query")
        return value

    @field_validator("secret_key")
    @classmethod
    def _strong(cls, value: SecretStr) -> SecretStr:
        _ = _secret(value.get_secret_value())
        return value

    @field_validator("key_peppers")
    @classmethod
    def _peppered(cls, value: SecretStr) -> SecretStr:
        _ = _peppers(value.get_secret_value())
        return value

    @field_validator("signing_keys")
    @classmethod
    def _signing(cls, value: SecretStr) -> SecretStr:
        _ = SigningKeys.load(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _billing_is_whole(self) -> Self:
        if self.mode is Mode.PRODUCTION and self.stripe_api_key and not self.stripe_webhook_secrets:
            raise ValueError("TENANTRY_STRIPE_WEBHOOK_SECRETS is missing while TENANTRY_STRIPE_API_KEY is set")
        return self

    @property
    def secret(self) -> bytes:
        """The bytes of ``secret_key``."""
        return _secret(self.secret_key.get_secret_value())

    @property
    def sealing_keys(self) -> tuple[SealingKey, ...]:
        """Newest first: the first seals, all open."""
        return (SealingKey(1, self.secret),)

    @property
    def peppers(self) -> tuple[Pepper, ...]:
        """Newest first: the first hashes new credentials, all are tried on old ones."""
        return _peppers(self.key_peppers.get_secret_value())

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """Secrets of the Stripe webhook endpoint; several while one is being rotated.

        What a comma at the end leaves behind is none: under an empty secret everybody could sign events.
        """
        given = self.stripe_webhook_secrets
        return tuple(_by_commas(given.get_secret_value())) if given else ()

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
        sessions = max(1, self.database_pool_size * 2 // 5)
        return DatabaseSettings(
            url=str(self.database_url),
            statement_connections=self.database_pool_size - sessions,
            session_connections=sessions,
        )

    @property
    def throttle(self) -> ThrottleSettings:
        """What ``gateway/throttle`` needs."""
        redis_url = str(self.redis_url) if self.redis_url else None
        return ThrottleSettings(redis_url=redis_url, workers=self.workers, takes_over=self.takes_over)

    @property
    def usage(self) -> UsageSettings:
        """What ``gateway/usage`` needs."""
        return UsageSettings(self.usage_folder, self.usage_journal_megabytes * 2**20, self.usage_flush_seconds)


def _by_commas(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _secret(text: str) -> bytes:
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        decoded = b""
    if len(decoded) < _LEAST_SECRET:
        raise ValueError(f"must be base64 of at least {_LEAST_SECRET} bytes")
    return decoded


def _peppers(text: str) -> tuple[Pepper, ...]:
    parts = [each.strip().partition(":") for each in text.split(",")]
    if not all(version.isdecimal() for version, _, _ in parts) or len({int(each[0]) for each in parts}) != len(parts):
        raise ValueError("takes version:base64 by commas, each version a whole number of its own")
    return tuple(Pepper(int(version), _secret(secret)) for version, _, secret in parts)
