"""The audit log of a tenant: every change by anyone, in one append-only table that is chained by hashes."""
