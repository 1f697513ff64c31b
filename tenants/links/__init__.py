"""One-time links: secrets sent by mail that prove control of the address."""
