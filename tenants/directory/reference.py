"""Converts a tenant's row to the reference that a request carries."""

from collections.abc import Sequence
from functools import lru_cache

from tenants.database.names import tenant_role, tenant_schema
from tenants.directory.models import SCHEMA_REVISIONS, Tenant
from tenants.identifiers import TenantId
from tenants.principal import TenantRef, TenantStatus

_SHARED = 10_000  # references shared by the cached principals of a tenant; saves memory at 100,000 principals

# The columns of a reference, for queries that do not read the whole row.
COLUMNS = (Tenant.id, Tenant.slug, Tenant.status, Tenant.plan_code, SCHEMA_REVISIONS)


def tenant_reference(tenant: Tenant) -> TenantRef:
    """The reference of a tenant for work inside Tenantry, which does not ask whether the tenant can be served."""
    return reference_of(tenant.id, tenant.slug, tenant.status, tenant.plan_code, ())


def reference_of(tenant: TenantId, slug: str, status: str, plan: str, revisions: Sequence[str] | None) -> TenantRef:
    """The reference from the values of ``COLUMNS``; the names of schema and role derive from the id alone (IS5)."""
    return _reference(tenant, slug, TenantStatus(status), plan, tuple(revisions or ()))


@lru_cache(maxsize=_SHARED)
def _reference(tenant: TenantId, slug: str, status: TenantStatus, plan: str, revisions: tuple[str, ...]) -> TenantRef:
    return TenantRef(tenant, slug, status, tenant_schema(tenant), tenant_role(tenant), plan, revisions)
