"""Requests and responses about API keys. Only the responses of create and rotate contain a secret (AZ8)."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tenants.api_keys.lineage import Owner, OwnerKind, owner_of
from tenants.api_keys.models import ApiKey, ApiKeyUse
from tenants.api_keys.status import KeyStatus, status_of
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
_EARLIER = "2026-01-31T12:00:00Z"
MOST_METADATA = 16  # members


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
Description = Annotated[str, Field(max_length=500, examples=["Imports orders every night."]), SHOWN]
MetadataName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,39}$")]
MetadataValue = Annotated[str, Field(max_length=200), SHOWN]
Metadata = Annotated[
    dict[MetadataName, MetadataValue],
    Field(
        max_length=MOST_METADATA,
        description="Texts of your own by name. They have no meaning here: store no secret in them.",
        examples=[{"team": "logistics"}],
    ),
]
Scopes = Annotated[
    list[Scope] | None,
    Field(max_length=100, description="Restricts the key to these permissions; default: all permissions of its role."),
]
Networks = Annotated[
    list[Network], Field(max_length=50, description="Networks that may use the key; empty allows any.")
]
Expiry = Annotated[Timestamp | None, Field(description="Null for a key that does not expire.", examples=[EXPIRY])]


class KeyLimit(BaseModel):
    """A rate limit of the key itself: at most ``quota`` requests in any ``window_seconds`` seconds."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$", examples=["minute"])]
    quota: Annotated[int, Field(ge=1, le=_LARGEST_QUOTA, examples=[60]), WHOLE]
    window_seconds: Annotated[int, Field(ge=1, le=_LONGEST_WINDOW, examples=[60]), WHOLE]


Limits = Annotated[
    list[KeyLimit], Field(max_length=5, description="Rate limits of this key, in addition to the plan's.")
]


class CreateApiKey(BaseModel):
    """Body of ``POST /v1/api-keys``."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    role: Annotated[Role, Field(max_length=50, description="A role whose permissions you have yourself.")]
    description: Description = ""
    metadata: Metadata = {}
    scopes: Scopes = None
    expires_at: Expiry = None
    allowed_cidrs: Networks = []
    limits: Limits = []
    owner: Annotated[
        Literal[OwnerKind.TENANT] | None,
        Field(
            description="`tenant` for a key of the tenant itself, which stays when people lose rights or leave; needs"
            " the permission `service_keys:create`. Default: you.",
            examples=[None],
        ),
    ] = None
    environment: Annotated[Literal["live"], BeforeValidator(with_pydantic_errors(check_environment))] = "live"


class ChangeApiKey(BaseModel):
    """Body of ``PATCH /v1/api-keys/{id}``; what is left out stays as it is, what is sent replaces the whole field."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    description: Description = ""
    metadata: Metadata = {}
    scopes: Scopes = None
    expires_at: Expiry = None
    allowed_cidrs: Networks = []
    limits: Limits = []


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
    description: Annotated[str, Field(examples=["Imports orders every night."])]
    metadata: Annotated[dict[str, str], Field(examples=[{"team": "logistics"}])]
    status: Annotated[
        KeyStatus,
        Field(
            description="`rotating` works like `active`, until `expires_at`. The others are refused.",
            examples=["active"],
        ),
    ]
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
            " which is bound by its own role and scopes alone. Null when the user has no account any more: the key is"
            " refused.",
            examples=[example_of(USER)],
        ),
    ]
    rotated_from: Annotated[str | None, Field(description="The key that this one replaces, if any.", examples=[None])]
    created_at: datetime
    expires_at: Annotated[datetime | None, Field(examples=[EXPIRY])]
    rotated_at: Annotated[datetime | None, Field(description="When its successor was made, if any.", examples=[None])]
    disabled_at: Annotated[datetime | None, Field(examples=[None])]
    revoked_at: Annotated[datetime | None, Field(examples=[None])]
    requests: Annotated[
        int, Field(description="Admitted so far; some seconds old, as is the last use.", examples=[4711])
    ]
    last_used_at: Annotated[datetime | None, Field(description="Null for a key without use.", examples=[_EARLIER])]
    last_used_from: Annotated[str | None, Field(description="The address it was used from.", examples=["192.0.2.7"])]

    @classmethod
    def of(cls, key: ApiKey, use: ApiKeyUse | None = None) -> "ApiKeyResponse":
        """Convert a row, and how the key is used; internal columns are left out."""
        return cls(**_fields_of(key, use))


class ApiKeyCreated(ApiKeyResponse):
    """A new API key: the only response that contains its secret."""

    secret: Annotated[str, Field(examples=["tn_live_4Kq9…T3vX"])]

    @classmethod
    def with_secret(cls, key: ApiKey, secret: str) -> "ApiKeyCreated":
        """Convert a row and add the secret, which is stored nowhere."""
        return cls(**_fields_of(key, None), secret=secret)


def audited(key: ApiKey) -> dict[str, Any]:
    """The key as the audit log shows it: without its secret, and without its use, which is no change of it."""
    return ApiKeyResponse.of(key).model_dump(mode="json", exclude={"requests", "last_used_at", "last_used_from"})


def _fields_of(key: ApiKey, use: ApiKeyUse | None) -> dict[str, Any]:
    plain = ("name", "description", "role", "scopes", "environment", "prefix", "last4", "allowed_cidrs", "limits")
    times = ("created_at", "expires_at", "rotated_at", "disabled_at", "revoked_at")
    return {
        "id": show(API_KEY, key.id),
        "created_by": _maker_of(key),
        "owner": shown_owner(owner_of(key)),
        "metadata": key.labels,
        "status": status_of(key, datetime.now(UTC)),
        "rotated_from": show(API_KEY, key.rotated_from_id) if key.rotated_from_id else None,
        **{name: getattr(key, name) for name in (*plain, *times)},
        "requests": use.requests if use else 0,
        "last_used_at": use.last_used_at if use else None,
        "last_used_from": use.last_used_from if use else None,
    }


def _maker_of(key: ApiKey) -> str | None:
    if key.created_by_key_id is not None:
        return show(API_KEY, key.created_by_key_id)
    return None if key.created_by_user_id is None else show(USER, key.created_by_user_id)


def shown_owner(owner: Owner) -> str | None:
    """The owner as the API shows it."""
    if owner.key is not None:
        return show(API_KEY, owner.key)
    if owner.user is not None:
        return show(USER, owner.user)
    return OwnerKind.TENANT.value if owner.kind is OwnerKind.TENANT else None
