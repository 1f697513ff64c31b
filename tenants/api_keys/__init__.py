"""The credentials of third-party integrators."""
