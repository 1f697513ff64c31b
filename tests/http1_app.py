"""A FastAPI application behind the gateway's own gate, without any other part of the gateway."""

from collections.abc import Callable

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


def behind_the_edge(register: Callable[[FastAPI], None]) -> ASGIApp:
    """The application that ``register`` fills, behind a gate that asks for no credential."""
    application = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    register(application)
    return Gate(
        application,
        stages=(RoutingStage(RouteTable(routes_of(application))),),
        problems=Problems(PUBLIC_URL),
        source=SourceReader(),
        access=AccessLog(CapturingLogger()),
    )
