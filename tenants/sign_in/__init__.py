"""How a person gets in: passwords, access tokens, refresh tokens."""
