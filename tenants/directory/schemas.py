"""Requests and responses about tenants: for operators, and for the tenant itself."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tenants.database.names import tenant_schema
from tenants.directory.models import MemberKeysChoice, Tenant
from tenants.identifiers import TENANT, USER, example_of, pattern_of, show
from tenants.principal import TenantStatus
from tenants.values.origins import OriginText
from tenants.values.shown import SHOWN

TenantName = Annotated[str, Field(min_length=1, max_length=200, examples=["Acme Corporation"]), SHOWN]
Reason = Annotated[str, Field(min_length=1, max_length=500, examples=["Unpaid invoice 4711."]), SHOWN]
RequireMfa = Annotated[
    bool, Field(description="Whether people need a second factor to sign in to the tenant.", examples=[False])
]
PlanCode = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,49}$", examples=["pro"])]


class ChangeTenant(BaseModel):
    """Body of ``PATCH /operator/v1/tenants/{id}``."""

    model_config = ConfigDict(extra="forbid")

    plan: PlanCode


class ChangeStatus(BaseModel):
    """Body of ``POST /operator/v1/tenants/{id}/suspend`` and ``/resume``, which may be left out."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[Reason | None, Field(description="For operators and the tenant's audit.")] = None


class Suspension(BaseModel):
    """Why and since when a tenant is suspended."""

    reason: Annotated[str | None, Field(examples=["Unpaid invoice 4711."])]
    at: datetime | None


class TenantResponse(BaseModel):
    """A tenant, as returned to operators."""

    id: Annotated[str, Field(examples=[example_of(TENANT)])]
    slug: Annotated[str, Field(examples=["acme"])]
    name: Annotated[str, Field(examples=["Acme Corporation"])]
    status: Literal["active", "suspended"]
    suspension: Annotated[Suspension | None, Field(description="Null unless the tenant is suspended.")]
    plan: Annotated[str, Field(examples=["pro"])]
    schema_name: Annotated[
        str,
        Field(
            alias="schema",
            description="PostgreSQL schema that contains its data.",
            examples=["t_019b057d9e8f702d74d07d2f0d2045c8"],
        ),
    ]
    stripe_customer: Annotated[str | None, Field(examples=["cus_Ab12Cd34Ef56Gh"])]
    created_at: datetime

    @classmethod
    def of(cls, tenant: Tenant) -> "TenantResponse":
        """Convert a row."""
        return cls.model_validate(_fields_of(tenant))


def _not_sent() -> Any:
    """Placeholder for a field that was not sent; never read, since it is not in ``model_fields_set``."""


def _distinct(origins: list[str]) -> list[str]:
    return list(dict.fromkeys(origins))


AllowedOrigins = Annotated[
    list[OriginText],
    Field(max_length=20, description="Origins whose pages may call the API for this tenant."),
    AfterValidator(_distinct),
]


MemberKeys = Annotated[
    MemberKeysChoice,
    Field(
        description="What happens to the API keys of a member who loses rights, is disabled or leaves. `narrow`: they"
        " hold what the member holds, and are revoked when the member leaves. `hand_over`: they pass to the member"
        " `member_keys_to` first.",
        examples=["narrow"],
    ),
]


class ChangeOwnTenant(BaseModel):
    """Body of ``PATCH /v1/tenant``; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    name: TenantName = Field(default_factory=_not_sent)
    allowed_origins: AllowedOrigins = Field(default_factory=_not_sent)
    require_mfa: RequireMfa = Field(default_factory=_not_sent)
    member_keys: MemberKeys = Field(default_factory=_not_sent)
    member_keys_to: Annotated[
        str | None,
        Field(
            pattern=pattern_of(USER),
            description="The member to whom keys are handed over.",
            examples=[example_of(USER)],
            default_factory=_not_sent,
        ),
    ]


class OwnTenantResponse(BaseModel):
    """The tenant, as returned to its own people and keys."""

    id: Annotated[str, Field(examples=[example_of(TENANT)])]
    slug: Annotated[str, Field(description="Names the tenant at sign-in.", examples=["acme"])]
    name: Annotated[str, Field(examples=["Acme Corporation"])]
    status: Literal["active", "suspended"]
    plan: Annotated[str, Field(examples=["pro"])]
    allowed_origins: Annotated[list[str], Field(examples=[["https://app.example.com"]])]
    require_mfa: RequireMfa
    member_keys: MemberKeys
    member_keys_to: Annotated[
        str | None, Field(description="The member to whom keys are handed over.", examples=[None])
    ]
    created_at: datetime

    @classmethod
    def of(cls, tenant: Tenant) -> "OwnTenantResponse":
        """Convert a row."""
        fields = _fields_of(tenant)
        return cls.model_validate({name: fields[name] for name in cls.model_fields})


def _fields_of(tenant: Tenant) -> dict[str, object]:
    """The fields of both responses."""
    return {
        "id": show(TENANT, tenant.id),
        "slug": tenant.slug,
        "name": tenant.name,
        "status": TenantStatus(tenant.status).value,
        "suspension": _suspension_of(tenant),
        "plan": tenant.plan_code,
        "require_mfa": tenant.require_mfa,
        "member_keys": MemberKeysChoice(tenant.member_keys),
        "member_keys_to": show(USER, tenant.member_keys_to) if tenant.member_keys_to else None,
        "schema": tenant_schema(tenant.id),
        "stripe_customer": tenant.stripe_customer_id,
        "allowed_origins": tenant.allowed_origins,
        "created_at": tenant.created_at,
    }


def _suspension_of(tenant: Tenant) -> Suspension | None:
    if tenant.status != TenantStatus.SUSPENDED:
        return None
    return Suspension(reason=tenant.suspension_reason, at=tenant.suspended_at)
