"""Structured logging: set-up, redaction of secrets, and a stream that never blocks."""
