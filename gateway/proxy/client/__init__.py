"""HTTP/1.1 to upstreams: strict, pooled, and with as little work for an exchange as Python allows."""
