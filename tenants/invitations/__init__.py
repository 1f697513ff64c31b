"""Invitations: people become members of a tenant by a link that is sent to their address."""
