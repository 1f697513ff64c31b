"""Whether the event loop turns: what holds it up holds up every request of the worker."""
