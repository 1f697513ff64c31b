"""Keys of operators, the SaaS team's own staff."""
