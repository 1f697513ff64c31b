"""People. One person can be a member of several tenants."""
