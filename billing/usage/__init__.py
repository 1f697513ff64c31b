"""Usage by minute, tenant, key, route and status class, added exactly once."""
