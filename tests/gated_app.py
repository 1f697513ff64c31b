"""A FastAPI application behind the gate and the problem handlers, without the gateway's other parts."""

from collections.abc import Callable

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.types import ASGIApp
from structlog.testing import CapturingLogger

from gateway.gate.access_log import AccessLog
from gateway.gate.gate import Gate
from gateway.problems.documents import Problems
from gateway.request.route import PUBLIC, Route
from gateway.request.source import SourceReader
from gateway.routing.stage import RoutingStage
from gateway.routing.table import RouteTable

PUBLIC_URL = "https://gateway.test"


def gated_app(register: Callable[[FastAPI], None]) -> ASGIApp:
    """An application with the endpoints that ``register`` adds, behind a gate with routing only."""
    application = FastAPI(openapi_url=None)
    problems = Problems(PUBLIC_URL)
    problems.install(application)
    register(application)
    contexts = list(iter_route_contexts(application.routes))
    routes = [
        Route(method, str(each.path_format), PUBLIC, application) for each in contexts for method in each.methods or ()
    ]
    return Gate(
        application,
        stages=(RoutingStage(RouteTable(routes)),),
        problems=problems,
        source=SourceReader(),
        access=AccessLog(CapturingLogger()),
    )
