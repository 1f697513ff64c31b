"""WebSocket connections of proxied routes (RFC 6455): the handshake, and the frames of both directions."""
