"""A tenant's row as a request carries it."""

from functools import lru_cache

from tenants.database.names import tenant_role, tenant_schema
from tenants.directory.models import Tenant
from tenants.identifiers import TenantId
from tenants.principal import TenantRef, TenantStatus

_SHARED = 10_000  # references that all principals of the same tenant share, where a worker remembers 100,000 of them


def tenant_reference(tenant: Tenant) -> TenantRef:
    """Enough to open the tenant's rooms; names of schema and role come from the id alone (IS5)."""
    return _reference(tenant.id, tenant.slug, _status(tenant), tenant.plan_code)


def _status(tenant: Tenant) -> TenantStatus:
    status = TenantStatus(tenant.status)
    return TenantStatus.BEHIND if status is TenantStatus.ACTIVE and tenant.migration_failed_at is not None else status


@lru_cache(maxsize=_SHARED)
def _reference(tenant: TenantId, slug: str, status: TenantStatus, plan: str) -> TenantRef:
    return TenantRef(tenant, slug, status, tenant_schema(tenant), tenant_role(tenant), plan)
