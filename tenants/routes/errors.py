"""Errors of routes and upstreams."""

from tenants.errors import Conflict, not_unique


class RouteExists(Conflict):
    message = "A route with this name already exists."
    errors = not_unique("name")


class UpstreamExists(Conflict):
    message = "An upstream with this name already exists."
    errors = not_unique("name")


class UpstreamInUse(Conflict):
    """An upstream cannot be deleted while routes go to it."""

    message = "Routes go to this upstream. Delete them, or change their upstream, before you delete it."
