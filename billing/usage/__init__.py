"""What tenants used: counted by minute, tenant, key, route and status class; added to exactly once."""
