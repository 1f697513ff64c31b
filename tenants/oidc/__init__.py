"""OpenID Connect issuers: what they publish, and the tokens that they sign."""
