"""The stage that finds a request's route, whose terms all later stages apply."""

import re
from collections.abc import Iterable

from gateway.problems.errors import MalformedRequest
from gateway.request.context import RequestContext
from gateway.request.fields import RequestFields
from gateway.request.host import host_name
from gateway.routing.table import UNMATCHED, RouteTable, parameters_of

# An encoded slash, backslash or dot, or a segment of dots: what a proxy in front may read as another path (PX6).
_AMBIGUOUS = re.compile(rb"%2[EFef]|%5[Cc]|/\.{1,2}(?:/|$)")


class HostNotServed(MalformedRequest):
    """RFC 9110 section 7.4: a link built from a forged Host would lead to another site."""

    message = "Host names no host that this API is served under. Use the URL of the API's documentation."


class RoutingStage:
    """Every request gets a route. Where none matches, it is one that answers 404 or 405.

    A path that others may read differently matches no route: the path that is authorized is then the one that a rule of
    a proxy in front saw. ``hosts`` are the names that routes are served under; empty is any, and a route may declare
    ``any_host``. A request without Host, which HTTP/1.0 allows, names none of them. Raises HostNotServed.
    """

    def __init__(self, table: RouteTable, hosts: Iterable[str] = ()) -> None:
        self._table = table
        self._hosts = frozenset(host_name(each.encode()) for each in hosts)

    def __call__(self, request: RequestContext) -> None:
        scope = request.scope
        raw_path = scope.get("raw_path") or b""
        if (b"%" in raw_path or b"/." in raw_path) and _AMBIGUOUS.search(raw_path):
            route, values = UNMATCHED
        else:
            route, values = self._table.find(scope["method"], scope["path"])
        request.route = route
        if values:
            scope["path_params"] = dict(zip(parameters_of(route.template), values, strict=True))
        if self._hosts and not (route.terms.any_host or self._serves(request.fields)):
            raise HostNotServed

    def _serves(self, fields: RequestFields) -> bool:
        if fields.host_served is None:
            fields.host_served = host_name(fields.by_name.get(b"host", b"")) in self._hosts
        return fields.host_served
