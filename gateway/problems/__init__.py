"""HTTP errors and problem documents (RFC 9457)."""
