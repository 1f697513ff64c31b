"""Creates a tenant: row, schema, role, owner and first key, in one transaction."""
