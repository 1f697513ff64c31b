"""A FastAPI application behind the gateway's own edge stages and problem handlers, without the rest of the house."""

from collections.abc import Callable

from fastapi import FastAPI
from starlette.types import ASGIApp
from structlog.testing import CapturingLogger

from gateway.edge.access_log import AccessLog
from gateway.edge.body_limit import BodyLimitStage
from gateway.edge.framing import FramingStage
from gateway.edge.head import HeadStage
from gateway.edge.request_context import RequestContextStage
from gateway.edge.security_headers import SecurityHeaders
from gateway.edge.source import SourceReader
from gateway.problems import Problems

PUBLIC_URL = "https://gateway.test"
BODY_LIMIT = 65_536


def behind_the_edge(register: Callable[[FastAPI], None]) -> ASGIApp:
    """The application that ``register`` fills, in the order of stages that ``gateway/app.py`` has."""
    application = FastAPI(openapi_url=None)
    problems = Problems(PUBLIC_URL)
    problems.install(application)
    register(application)
    return RequestContextStage(
        FramingStage(BodyLimitStage(HeadStage(application), BODY_LIMIT)),
        problems=problems,
        source=SourceReader(),
        headers=SecurityHeaders(https=True),
        access=AccessLog(CapturingLogger()),
    )
