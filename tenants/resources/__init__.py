"""How a SaaS team declares a resource, and the registry of those declared."""
