"""The roles that a tenant may give."""
