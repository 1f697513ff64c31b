"""Request and response of creating a tenant."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tenants.api_keys.models import ApiKey
from tenants.api_keys.schemas import ApiKeyCreated
from tenants.directory.models import Tenant
from tenants.directory.schemas import PlanCode, TenantName, TenantResponse
from tenants.values.addresses import Email

Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,38}[a-z0-9]$", examples=["acme"])]


class CreateTenant(BaseModel):
    """Body of ``POST /operator/v1/tenants``."""

    model_config = ConfigDict(extra="forbid")

    slug: Slug
    name: TenantName
    plan: PlanCode
    owner_email: Email | None = None


class TenantCreated(TenantResponse):
    """A new tenant with its first key."""

    api_key: ApiKeyCreated

    @classmethod
    def made(cls, tenant: Tenant, key: ApiKey, secret: str) -> "TenantCreated":
        """Build the response from the tenant, its first key and that key's secret."""
        tenant_fields = TenantResponse.of(tenant).model_dump(by_alias=True)
        return cls.model_validate({**tenant_fields, "api_key": ApiKeyCreated.with_secret(key, secret)})
