"""SCIM 2.0 (RFC 7643, RFC 7644): a tenant's identity provider keeps the tenant's members and their groups."""
