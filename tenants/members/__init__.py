"""Memberships of people in tenants, and their roles."""
