"""Declaration of resources by a SaaS team, and their registry."""
