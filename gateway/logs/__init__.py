"""Structured logging: set-up, the stream, and the redaction of secrets."""
