"""Converts a tenant's row to the reference that a request carries."""

from datetime import datetime
from functools import lru_cache

from tenants.database.names import tenant_role, tenant_schema
from tenants.directory.models import Tenant
from tenants.identifiers import TenantId
from tenants.principal import TenantRef, TenantStatus

_SHARED = 10_000  # references shared by the cached principals of a tenant; saves memory at 100,000 principals


# The columns of a reference, for queries that do not read the whole row.
COLUMNS = (Tenant.id, Tenant.slug, Tenant.status, Tenant.plan_code, Tenant.migration_failed_at)


def tenant_reference(tenant: Tenant) -> TenantRef:
    """The reference of a tenant; the names of schema and role derive from the id alone (IS5)."""
    return reference_of(tenant.id, tenant.slug, tenant.status, tenant.plan_code, tenant.migration_failed_at)


def reference_of(
    tenant: TenantId, slug: str, status: str, plan: str, migration_failed_at: datetime | None
) -> TenantRef:
    """The reference from the values of ``COLUMNS``."""
    state = TenantStatus(status)
    if state is TenantStatus.ACTIVE and migration_failed_at is not None:
        state = TenantStatus.BEHIND
    return _reference(tenant, slug, state, plan)


@lru_cache(maxsize=_SHARED)
def _reference(tenant: TenantId, slug: str, status: TenantStatus, plan: str) -> TenantRef:
    return TenantRef(tenant, slug, status, tenant_schema(tenant), tenant_role(tenant), plan)
