"""Requests and responses about API keys. Only the responses of create and rotate contain a secret (AZ8)."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tenants.api_keys.lineage import OwnerKind, owner_of
from tenants.api_keys.models import ApiKey
from tenants.identifiers import API_KEY, USER, example_of, show
from tenants.values.errors import BadValue, with_pydantic_errors
from tenants.values.networks import NetworkText
from tenants.values.numbers import WHOLE
from tenants.values.shown import SHOWN
from tenants.values.timestamps import Timestamp

_LONGEST_OVERLAP = 30 * 86_400  # seconds
_LARGEST_QUOTA = 1_000_000_000
_LONGEST_WINDOW = 86_400  # seconds
EXPIRY = "2030-12-31T00:00:00Z"


def check_environment(value: object) -> object:
    """Return what is not ``test``, which is reserved. Raises BadValue."""
    if value == "test":
        message = "Test environments are not available yet: the key would use live data. Create a live key."
        raise BadValue("not_available", message)
    return value


Name = Annotated[str, Field(min_length=1, max_length=100, examples=["nightly import"]), SHOWN]
Scope = Annotated[str, Field(max_length=100, examples=["usage:read"])]
Network = Annotated[NetworkText, Field(examples=["192.0.2.0/24"])]
Role = Annotated[str, Field(examples=["member"])]
Expiry = Annotated[Timestamp | None, Field(description="Null for a key that does not expire.", examples=[EXPIRY])]


class KeyLimit(BaseModel):
    """A rate limit of the key itself: at most ``quota`` requests in any ``window_seconds`` seconds."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$", examples=["minute"])]
    quota: Annotated[int, Field(ge=1, le=_LARGEST_QUOTA, examples=[60]), WHOLE]
    window_seconds: Annotated[int, Field(ge=1, le=_LONGEST_WINDOW, examples=[60]), WHOLE]


class CreateApiKey(BaseModel):
    """Body of ``POST /v1/api-keys``."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    role: Annotated[Role, Field(max_length=50, description="A role whose permissions you have yourself.")]
    scopes: Annotated[
        list[Scope] | None,
        Field(
            max_length=100, description="Restricts the key to these permissions; default: all permissions of its role."
        ),
    ] = None
    expires_at: Expiry = None
    allowed_cidrs: Annotated[
        list[Network], Field(max_length=50, description="Networks that may use the key; empty allows any.")
    ] = []
    limits: Annotated[
        list[KeyLimit], Field(max_length=5, description="Rate limits of this key, in addition to the plan's.")
    ] = []
    environment: Annotated[Literal["live"], BeforeValidator(with_pydantic_errors(check_environment))] = "live"


class RotateApiKey(BaseModel):
    """Body of ``POST /v1/api-keys/{id}/rotate``."""

    model_config = ConfigDict(extra="forbid")

    overlap_seconds: Annotated[
        int, Field(ge=0, le=_LONGEST_OVERLAP, description="How long the old key stays valid.", examples=[3600]), WHOLE
    ] = 0
    scopes: Annotated[
        list[Scope] | None,
        Field(max_length=100, description="Permissions of the new key; default: those of the old key."),
    ] = None


class ApiKeyResponse(BaseModel):
    """An API key, without its secret."""

    id: Annotated[str, Field(examples=[example_of(API_KEY)])]
    name: Annotated[str, Field(examples=["nightly import"])]
    role: Role
    scopes: list[Scope] | None
    environment: Literal["live", "test"]
    prefix: Annotated[str, Field(description="The secret's first characters.", examples=["tn_live_4Kq9"])]
    last4: Annotated[str, Field(description="The secret's last four characters.", examples=["T3vX"])]
    allowed_cidrs: list[Annotated[str, Field(examples=["192.0.2.0/24"])]]
    limits: list[KeyLimit]
    created_by: Annotated[
        str | None,
        Field(description="The user or the key that created this key, if any; for good.", examples=[example_of(USER)]),
    ]
    owner: Annotated[
        str | None,
        Field(
            description="The user or the key whose rights bound this key, or `tenant` for a key of the tenant itself,"
            " which is bound by its own role and scopes alone. Null when the user has no account any more: the key is refused.",
            examples=[example_of(USER)],
        ),
    ]
    rotated_from: Annotated[str | None, Field(description="The key that this one replaces, if any.", examples=[None])]
    created_at: datetime
    expires_at: Annotated[datetime | None, Field(examples=[EXPIRY])]
    revoked_at: Annotated[datetime | None, Field(examples=[None])]

    @classmethod
    def of(cls, key: ApiKey) -> "ApiKeyResponse":
        """Convert a row; internal columns are left out."""
        return cls(**_fields_of(key))


class ApiKeyCreated(ApiKeyResponse):
    """A new API key: the only response that contains its secret."""

    secret: Annotated[str, Field(examples=["tn_live_4Kq9…T3vX"])]

    @classmethod
    def with_secret(cls, key: ApiKey, secret: str) -> "ApiKeyCreated":
        """Convert a row and add the secret, which is stored nowhere."""
        return cls(**_fields_of(key), secret=secret)


def _fields_of(key: ApiKey) -> dict[str, Any]:
    plain = ("name", "role", "scopes", "environment", "prefix", "last4", "allowed_cidrs", "limits")
    times = ("created_at", "expires_at", "revoked_at")
    return {
        "id": show(API_KEY, key.id),
        "created_by": _maker_of(key),
        "owner": _owner_of(key),
        "rotated_from": show(API_KEY, key.rotated_from_id) if key.rotated_from_id else None,
        **{name: getattr(key, name) for name in (*plain, *times)},
    }


def _maker_of(key: ApiKey) -> str | None:
    if key.created_by_key_id is not None:
        return show(API_KEY, key.created_by_key_id)
    return None if key.created_by_user_id is None else show(USER, key.created_by_user_id)


def _owner_of(key: ApiKey) -> str | None:
    owner = owner_of(key)
    if owner.key is not None:
        return show(API_KEY, owner.key)
    if owner.user is not None:
        return show(USER, owner.user)
    return OwnerKind.TENANT.value if owner.kind is OwnerKind.TENANT else None
