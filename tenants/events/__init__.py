"""The change events of a tenant: written with each change, numbered behind the commits."""
