"""A tenant's row as a request carries it."""

from tenants.database.names import tenant_role, tenant_schema
from tenants.directory.models import Tenant
from tenants.principal import TenantRef, TenantStatus


def tenant_reference(tenant: Tenant) -> TenantRef:
    """Enough to open the tenant's rooms; names of schema and role come from the id alone (IS5)."""
    return TenantRef(
        id=tenant.id,
        slug=tenant.slug,
        status=TenantStatus(tenant.status),
        schema=tenant_schema(tenant.id),
        role=tenant_role(tenant.id),
        plan=tenant.plan_code,
    )
