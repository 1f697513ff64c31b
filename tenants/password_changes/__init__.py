"""A person's password: change it, and reset it by a link that is sent to their address."""
