"""A shared cache of upstreams' answers in the memory of a worker, where a route asks for it (docs/decisions/0056)."""
