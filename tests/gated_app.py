"""A FastAPI application behind the gateway's own gate and problem handlers, without the rest of the house."""

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
    """The application that ``register`` fills, in the order of stages that ``gateway/app.py`` has."""
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
