"""State of one request, shared by all stages: route, header fields, source address, context."""
