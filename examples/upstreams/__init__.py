"""Services that stand behind Tenantry and verify who asks."""
