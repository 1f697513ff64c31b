"""SaaS applications built on Tenantry."""
