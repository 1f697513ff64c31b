"""Requests to URLs that a tenant gives: to public addresses only, bounded in time and size (PX1, PX2)."""
