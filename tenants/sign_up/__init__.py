"""Sign-up: a person makes an account and a tenant of their own."""
