"""The shared CRUD endpoints, built from the resources that a SaaS team declares."""
