"""What OAuth 2.0 says of token requests: its errors and scopes (RFC 6749, RFC 8693)."""
