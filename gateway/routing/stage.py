"""The stage that finds a request's route, which all later ones go by: what it costs, who may call it, who answers."""

from gateway.request.context import RequestContext
from gateway.routing.table import RouteTable, parameters_of


class RoutingStage:
    """Every request gets a route: where there is none, one that answers 404 or 405 to whoever is let in so far."""

    def __init__(self, table: RouteTable) -> None:
        self._table = table

    def __call__(self, request: RequestContext) -> None:
        scope = request.scope
        request.route, values = self._table.find(scope["method"], scope["path"])
        if values:
            scope["path_params"] = dict(zip(parameters_of(request.route.template), values, strict=True))
