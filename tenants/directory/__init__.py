"""The tenants: create, list, suspend, resume, delete."""
