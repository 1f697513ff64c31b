"""From method and path to a route, and from a route to its endpoint."""
