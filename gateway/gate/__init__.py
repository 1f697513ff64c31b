"""The gate: stages in order, the request id, the access log."""
