"""A tenant's row as a request carries it."""

from datetime import datetime
from functools import lru_cache

from tenants.database.names import tenant_role, tenant_schema
from tenants.directory.models import Tenant
from tenants.identifiers import TenantId
from tenants.principal import TenantRef, TenantStatus

_SHARED = 10_000  # references that all principals of the same tenant share, where a worker remembers 100,000 of them


# What a reference is made of, for those who read columns instead of the whole row.
COLUMNS = (Tenant.id, Tenant.slug, Tenant.status, Tenant.plan_code, Tenant.migration_failed_at)


def tenant_reference(tenant: Tenant) -> TenantRef:
    """Enough to open the tenant's rooms; names of schema and role come from the id alone (IS5)."""
    return reference_of(tenant.id, tenant.slug, tenant.status, tenant.plan_code, tenant.migration_failed_at)


def reference_of(
    tenant: TenantId, slug: str, status: str, plan: str, migration_failed_at: datetime | None
) -> TenantRef:
    """The reference out of ``COLUMNS``."""
    known = TenantStatus(status)
    if known is TenantStatus.ACTIVE and migration_failed_at is not None:
        known = TenantStatus.BEHIND
    return _reference(tenant, slug, known, plan)


@lru_cache(maxsize=_SHARED)
def _reference(tenant: TenantId, slug: str, status: TenantStatus, plan: str) -> TenantRef:
    return TenantRef(tenant, slug, status, tenant_schema(tenant), tenant_role(tenant), plan)
