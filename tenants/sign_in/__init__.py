"""Sign-in of people: passwords, access tokens, refresh tokens."""
