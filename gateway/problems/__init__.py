"""Errors as problem documents (RFC 9457): the only place that knows status codes."""
