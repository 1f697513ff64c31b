"""Schema and role names, derived from generated ids only, never from input (IS5)."""

from tenants.identifiers import TenantId

CONTROL_SCHEMA = "tenantry"
OWNER_ROLE = "tenantry_owner"
CONTROL_ROLE = "tenantry_control"
GATEWAY_ROLE = "tenantry_gateway"
CHANGES_CHANNEL = "tenantry_changes"
OWN_TABLES = "tenantry_"  # begins the names of Tenantry's own tables in a tenant's schema


def tenant_schema(tenant: TenantId) -> str:
    """The tenant's schema: ``t_`` and 32 hexadecimal digits, safe as an identifier without quoting."""
    return f"t_{tenant.hex}"


def tenant_role(tenant: TenantId) -> str:
    """The tenant's role has the name of its schema, which is unique in the whole cluster."""
    return tenant_schema(tenant)


def search_path(schema: str) -> str:
    """The search_path of a transaction in ``schema``. pg_temp is last, so that no temporary table hides a real one."""
    return f"{schema}, pg_temp"
