"""The one composition root. The order of a request stands in ``_stages``, on one screen, and nowhere else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp

from gateway.api.health import health_router
from gateway.api.openapi import DescribedApi
from gateway.api.routers import ROUTERS
from gateway.data.router import data_router
from gateway.edge.access_log import AccessLog
from gateway.edge.body_limit import BodyLimitStage
from gateway.edge.framing import FramingStage
from gateway.edge.head import HeadStage
from gateway.edge.request_context import RequestContextStage
from gateway.edge.security_headers import SecurityHeaders
from gateway.edge.source import SourceReader
from gateway.edge.source_throttle import SourceThrottleStage
from gateway.identity.stage import IdentityStage
from gateway.logs import configure_logging
from gateway.problems import Problems
from gateway.readiness import Readiness
from gateway.services import Services, build_services
from gateway.settings import Mode, Settings
from gateway.throttle.stage import ThrottleStage
from gateway.usage.stage import UsageStage


def create_app(settings: Settings | None = None) -> ASGIApp:
    """The gateway as one ASGI application, told by the environment where nothing else is given."""
    settings = settings or Settings()
    logger = configure_logging(level=settings.log_level, readable=settings.mode is Mode.DEVELOPMENT)
    return compose(build_services(settings), AccessLog(logger))


def compose(services: Services, access: AccessLog) -> ASGIApp:
    """The stages around the API of these services."""
    problems = Problems(services.settings.public_url)
    return _stages(_api(services, problems), services, problems, access)


def _stages(app: ASGIApp, services: Services, problems: Problems, access: AccessLog) -> ASGIApp:
    """The way of a request: the last stage that is put on is the first that it meets."""
    settings = services.settings
    app = HeadStage(app)  # HEAD is answered as GET
    app = UsageStage(app, services.usage.journal)  # whatever comes as far as this is counted
    app = ThrottleStage(app, services.limiter, services.plan_book)  # every window of the plan, or none
    app = IdentityStage(app, services.principals)  # credential → principal
    app = SourceThrottleStage(app)  # too many bad credentials from one address
    app = BodyLimitStage(app, settings.body_limit)
    app = FramingStage(app, settings.hosts)
    return RequestContextStage(  # id, context, headers of every answer, access log, the last resort for errors
        app,
        problems=problems,
        source=SourceReader(settings.trusted_proxies),
        headers=SecurityHeaders(https=settings.public_url.startswith("https:")),
        access=access,
        count=services.usage.count,
    )


def _api(services: Services, problems: Problems) -> FastAPI:
    """Management and data: plain FastAPI, every route with its guard."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with services.running():
            yield

    api = DescribedApi(title="Tenantry", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    api.state.services = services
    api.state.authorizer = services.authorizer
    problems.install(api)
    readiness = Readiness(services.database, services.listener, services.plan_book)
    data = data_router(services.registry, services.settings.secret)
    for router in (*ROUTERS, health_router(readiness), data):
        api.include_router(router)
    return api
