"""The methods that a path answers to, over every route that matches it (RFC 9110 section 10.2.1).

Starlette names those of the first matching route only; here each method of a path is a route of its own.
"""

from fastapi import Request
from fastapi.routing import iter_route_contexts
from starlette.routing import Match


def allowed_methods(request: Request) -> tuple[str, ...]:
    """Sorted method names, HEAD wherever there is GET."""
    scope = {"type": "http", "method": "", "path": request.scope["path"], "root_path": "", "headers": []}
    found: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if route.methods and route.matches(dict(scope))[0] is not Match.NONE:
            found |= route.methods
    if "GET" in found:
        found.add("HEAD")
    return tuple(sorted(found))
