"""Limits of sign-ins: how many attempts an account and a tenant admit, and who waits for whom."""
