"""People: one person may be a member of several tenants."""
