"""Everything that knows HTTP: the edge, the endpoints, the command line; composes the floors below."""
