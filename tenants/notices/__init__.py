"""Notices about API keys that expire soon or are unused."""
