"""What the SaaS's own staff send and see of tenants."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tenants.api_keys.models import ApiKey
from tenants.api_keys.schemas import ApiKeyIssued
from tenants.database.names import tenant_schema
from tenants.directory.models import Tenant
from tenants.identifiers import TENANT, show
from tenants.principal import TenantStatus

Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,38}[a-z0-9]$")]
PlanCode = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,49}$")]
Email = Annotated[str, Field(max_length=320, pattern=r"^[^\x00-\x20\x7f@]+@[^\x00-\x20\x7f@]+$")]


class CreateTenant(BaseModel):
    """Body of ``POST /operator/v1/tenants``."""

    model_config = ConfigDict(extra="forbid")

    slug: Slug
    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
    plan: PlanCode
    owner_email: Email | None = None


class ChangeTenant(BaseModel):
    """Body of ``PATCH /operator/v1/tenants/{id}``."""

    model_config = ConfigDict(extra="forbid")

    plan: PlanCode


class TenantShown(BaseModel):
    """A tenant as the SaaS's own staff see it."""

    id: str
    slug: str
    name: str
    status: Literal["active", "suspended"]
    plan: str
    schema_name: Annotated[str, Field(alias="schema", description="PostgreSQL schema of its data.")]
    stripe_customer: str | None
    created_at: datetime

    @classmethod
    def of(cls, tenant: Tenant) -> "TenantShown":
        """The row with its id as people see it."""
        return cls.model_validate(_shown(tenant))


class TenantCreated(TenantShown):
    """A tenant that was just made, with its first key."""

    api_key: ApiKeyIssued

    @classmethod
    def made(cls, tenant: Tenant, key: ApiKey, secret: str) -> "TenantCreated":
        """The tenant, its first key, and that key's secret."""
        return cls.model_validate({**_shown(tenant), "api_key": ApiKeyIssued.with_secret(key, secret)})


def _shown(tenant: Tenant) -> dict[str, object]:
    """The fields of ``TenantShown``."""
    return {
        "id": show(TENANT, tenant.id),
        "slug": tenant.slug,
        "name": tenant.name,
        "status": TenantStatus(tenant.status).value,
        "plan": tenant.plan_code,
        "schema": tenant_schema(tenant.id),
        "stripe_customer": tenant.stripe_customer_id,
        "created_at": tenant.created_at,
    }
