"""A FastAPI application behind the gate and the problem handlers, without the gateway's other parts."""

from collections.abc import Callable, Iterable

from fastapi import FastAPI
from starlette.types import ASGIApp
from structlog.testing import CapturingLogger

from gateway.gate.access_log import AccessLog
from gateway.gate.gate import Gate
from gateway.problems.documents import Problems
from gateway.request.source import SourceReader
from gateway.routing.routes import routes_of
from gateway.routing.stage import RoutingStage
from gateway.routing.table import RouteTable

PUBLIC_URL = "https://gateway.test"


def gated_app(register: Callable[[FastAPI], None], hosts: Iterable[str] = ()) -> ASGIApp:
    """An application with the endpoints that ``register`` adds, behind a gate with routing only."""
    application = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    register(application)
    return Gate(
        application,
        stages=(RoutingStage(RouteTable(routes_of(application)), hosts),),
        problems=Problems(PUBLIC_URL),
        source=SourceReader(),
        access=AccessLog(CapturingLogger()),
    )
