"""A mail sink: takes every message over SMTP, delivers none, and shows them over HTTP, all on loopback."""
