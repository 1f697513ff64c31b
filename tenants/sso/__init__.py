"""Single sign-on of a tenant's people at its own OpenID Connect provider."""
