"""The gateway with one route more, whose answer is canned: what the gate alone costs."""

import os
from dataclasses import replace

from starlette.types import ASGIApp

from benchmarks.bare import create_app as bare_app
from gateway.app import compose
from gateway.authorization.authorizer import Authorizer
from gateway.authorization.guards import requires
from gateway.gate.access_log import AccessLog
from gateway.logs.setup import configure_logging
from gateway.logs.stream import standard_error
from gateway.request.route import Route, Terms
from gateway.services import build_services
from gateway.settings import Settings
from tenants.roles.permissions import catalogue

PATH = "/canned"
MORE_RESOURCES = "BENCHMARK_RESOURCES"  # whose permissions there are as well; each is some 13 policy lines


def create_app(settings: Settings) -> ASGIApp:
    """A key, a policy, the windows of a plan, usage and metrics stand before the callable that is the yardstick."""
    logger = configure_logging(level=settings.log_level, readable=False, stream=standard_error())
    services = build_services(settings)
    more = [f"a_resource_{number}" for number in range(int(os.environ.get(MORE_RESOURCES, "0")))]
    authorizer = Authorizer(catalogue([*more, *services.registry.names]))
    features = replace(services.features, authorizer=authorizer)
    route = Route("GET", PATH, Terms(requires("contacts:read")), bare_app())
    return compose(replace(services, features=features), AccessLog(logger, settings.access_log_share), [route])
