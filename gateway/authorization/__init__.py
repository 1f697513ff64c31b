"""Who may do what: Casbin decides, decisions are remembered."""
