"""The composition root. ``_gate`` has the order of a request, on one screen, and nothing is added elsewhere."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp

from gateway.api.health import health_router
from gateway.api.metrics import metrics_router
from gateway.api.routers import ROUTERS
from gateway.authorization.entitlement import EntitlementStage
from gateway.authorization.stage import AuthorizationStage
from gateway.cors.stage import CorsStage
from gateway.data.router import data_router
from gateway.decisions.authzen import Evaluator
from gateway.decisions.decider import Decider
from gateway.decisions.described import described_requests
from gateway.decisions.explainer import Explainer
from gateway.decisions.identities import DecidedIdentities
from gateway.decisions.subjects import Subjects
from gateway.decisions.verifier import Verifier
from gateway.gate.access_log import AccessLog
from gateway.gate.gate import Gate, Stage
from gateway.health.readiness import START_DRAINING, Readiness
from gateway.identity.acting import ActingStage, recorder
from gateway.logs.setup import configure_logging
from gateway.logs.stream import standard_error
from gateway.openapi.document import Describer
from gateway.openapi.operation_ids import check_operation_ids
from gateway.openapi.published import Documents
from gateway.problems.documents import Problems
from gateway.request.client import WATCH_CONNECTIONS
from gateway.request.route import Route
from gateway.request.source import SourceReader
from gateway.routing.routes import routes_of
from gateway.routing.saas import routers_of
from gateway.routing.stage import RoutingStage
from gateway.routing.table import RouteTable
from gateway.services import Services, build_services
from gateway.settings import Mode, Settings
from gateway.throttle.stage import ThrottleStage
from gateway.usage.stage import UsageStage
from tenants.crud.pages import Cursors


def create_app(settings: Settings | None = None) -> ASGIApp:
    """The gateway as one ASGI application. Without ``settings`` it reads the environment."""
    settings = settings or Settings()
    readable = settings.mode is Mode.DEVELOPMENT
    logger = configure_logging(level=settings.log_level, readable=readable, stream=standard_error())
    return compose(build_services(settings), AccessLog(logger, settings.access_log_share))


def compose(services: Services, access: AccessLog, routes: Iterable[Route] = ()) -> ASGIApp:
    """The gate in front of the API of these services, and of ``routes`` that other applications answer."""
    api = _api(services)
    problems = Problems(services.settings.public_url)
    table = RouteTable((*routes_of(api), *routes))
    api.state.explainer = _explainer(table, services)
    return _gate(api, table, services, problems, access)


def _gate(api: FastAPI, table: RouteTable, services: Services, problems: Problems, access: AccessLog) -> ASGIApp:
    """The path of a request: the stages in order, then the application of its route.

    The same stages take the decisions that others ask for: of ``/authorize``, whose requests are replaced by those that
    they describe, and of ``/operator/v1/verify``.
    """
    settings, source = services.settings, SourceReader(services.settings.trusted_proxies)
    identities = DecidedIdentities(services.proxy.identity, settings.decision_audience)
    routing = _routing(table, services)
    stages: tuple[Stage, ...] = (
        *described_requests(settings.decision_networks, source, identities),  # /authorize → what it describes
        routing,  # method, host and path → route: its terms, its application
        CorsStage(services.origins, routing),  # preflights; which pages may read the answer
        services.identity,  # credential → principal
        ThrottleStage(services.limiter, services.plan_cache),  # all windows of the route's budget or none
        ActingStage(services.lookup.tenant, recorder(services.database)),  # an operator → principal of a tenant
        UsageStage(services.usage),  # an admitted request counts
        AuthorizationStage(services.authorizer, services.features.decisions),  # the guard of the route
        EntitlementStage(services.plan_cache),  # the feature of the plan that the route requires
    )
    _offer_decisions(api, stages, services, identities)
    return Gate(
        lifespan=api,
        stages=(services.meter.begin, *stages),
        closers=(services.usage.count, services.meter.close),
        problems=problems,
        source=source,
        access=access,
    )


def _offer_decisions(api: FastAPI, stages: Sequence[Stage], services: Services, identities: DecidedIdentities) -> None:
    """For the endpoints that answer in place of the gate: they decide by its own stages, and charge."""
    authorizer, database = services.authorizer, services.database
    decider = Decider(stages, authorizer, counts=services.features.decisions, count=services.usage.count)
    verifier = Verifier(decider, identities, services.limiter, services.plan_cache)
    subjects = Subjects(services.lookup, services.token_lookup, database)
    api.state.verifier = verifier
    api.state.evaluator = Evaluator(
        verifier, subjects, services.lookup.tenant, lambda: {each.name for each in authorizer.permissions}
    )


def _explainer(table: RouteTable, services: Services) -> Explainer:
    """Decides as the gate does, on copies of what the stages change."""
    return Explainer(
        _routing(table, services),
        UsageStage(services.usage).rehearsal(),
        services.limiter,
        services.plan_cache,
        services.authorizer,
        EntitlementStage(services.plan_cache),
    )


def _routing(table: RouteTable, services: Services) -> RoutingStage:
    """Tenantry's own routes and the team's endpoints; then those that go to upstreams."""
    return RoutingStage(table, services.settings.hosts, services.live_routes)


def _api(services: Services) -> FastAPI:
    """Management, data and the SaaS team's own endpoints: FastAPI routers, every route with its terms."""
    readiness = Readiness(
        services.database,
        services.listener,
        services.plan_cache,
        services.control_revision,
        services.features.ledger,
        routes=services.live_routes,
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, object]]:
        async with services.running():
            services.watch.garbage.take_over()
            yield {START_DRAINING: readiness.start_draining, WATCH_CONNECTIONS: services.streams.watch}

    api = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)  # ours are in gateway/openapi
    api.state.services = services
    api.state.authorizer = services.authorizer
    api.state.confirm = services.features.confirmations.confirm
    data = data_router(services.registry, Cursors(services.settings.secret), services.tags)
    metrics = metrics_router(services.metrics, services.settings.metrics_networks)
    api.routes.extend(data.routes)  # in the order of the documents
    for router in routers_of(services.registry):
        api.include_router(router)  # with its dependencies, and what it runs at the start
    for router in (*ROUTERS, health_router(readiness), metrics):
        api.routes.extend(router.routes)  # which are complete: including them would build each a second time
    check_operation_ids(api.routes)
    api.state.documents = Documents(Describer(api.routes, services.registry, services.settings.public_url))
    return api
