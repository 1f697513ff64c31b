"""The gate: the stages in order, request ids, the access log."""
