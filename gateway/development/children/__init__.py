"""The demo's own processes: the gateway, which prepares what it serves, and the worker."""
