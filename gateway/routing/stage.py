"""The stage that finds a request's route, whose terms all later stages apply."""

from gateway.request.context import RequestContext
from gateway.routing.table import RouteTable, parameters_of


class RoutingStage:
    """Every request gets a route. Where none matches, it is one that answers 404 or 405."""

    def __init__(self, table: RouteTable) -> None:
        self._table = table

    def __call__(self, request: RequestContext) -> None:
        scope = request.scope
        request.route, values = self._table.find(scope["method"], scope["path"])
        if values:
            scope["path_params"] = dict(zip(parameters_of(request.route.template), values, strict=True))
