"""Requests and responses about tenants, for operators."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tenants.database.names import tenant_schema
from tenants.directory.models import Tenant
from tenants.identifiers import TENANT, example_of, show
from tenants.principal import TenantStatus

PlanCode = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,49}$", examples=["pro"])]


class ChangeTenant(BaseModel):
    """Body of ``PATCH /operator/v1/tenants/{id}``."""

    model_config = ConfigDict(extra="forbid")

    plan: PlanCode


class TenantResponse(BaseModel):
    """A tenant, as returned to operators."""

    id: Annotated[str, Field(examples=[example_of(TENANT)])]
    slug: Annotated[str, Field(examples=["acme"])]
    name: Annotated[str, Field(examples=["Acme Corporation"])]
    status: Literal["active", "suspended"]
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
