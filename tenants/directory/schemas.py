"""Requests and responses about tenants, for operators."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tenants.database.names import tenant_schema
from tenants.directory.models import Tenant
from tenants.identifiers import TENANT, show
from tenants.principal import TenantStatus

PlanCode = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,49}$")]


class ChangeTenant(BaseModel):
    """Body of ``PATCH /operator/v1/tenants/{id}``."""

    model_config = ConfigDict(extra="forbid")

    plan: PlanCode


class TenantResponse(BaseModel):
    """A tenant, as returned to operators."""

    id: str
    slug: str
    name: str
    status: Literal["active", "suspended"]
    plan: str
    schema_name: Annotated[str, Field(alias="schema", description="PostgreSQL schema that contains its data.")]
    stripe_customer: str | None
    created_at: datetime

    @classmethod
    def of(cls, tenant: Tenant) -> "TenantResponse":
        """Convert a row."""
        return cls.model_validate(_fields_of(tenant))


def _fields_of(tenant: Tenant) -> dict[str, object]:
    """The fields of ``TenantResponse``."""
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
