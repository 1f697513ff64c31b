"""The endpoints, one file a resource: parse, one service call, answer."""
