"""Which people belong to which tenant, and with which roles."""
