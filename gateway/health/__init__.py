"""Readiness, event loop lag and garbage collections of a worker."""
