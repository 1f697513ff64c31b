"""An application behind the server of ``tenantry serve``: ``python -m benchmarks.application_server canned 1 8000``.

``canned`` is the gateway with one more route, whose response is that of the bare application: the cost of the gate
alone.
"""

import os
import sys
from dataclasses import replace

from starlette.types import ASGIApp

from benchmarks import bare
from gateway.app import compose
from gateway.authorization.authorizer import Authorizer
from gateway.authorization.guards import requires
from gateway.development.processes import LOOPBACK
from gateway.gate.access_log import AccessLog
from gateway.logs.setup import configure_logging
from gateway.logs.stream import standard_error
from gateway.process.configuration import CreateApp
from gateway.process.server import run_server
from gateway.request.route import Route, Terms
from gateway.services import build_services
from gateway.settings import Settings
from tenants.roles.permissions import catalogue

CANNED_PATH = "/canned"
EXTRA_RESOURCES = "BENCHMARK_RESOURCES"  # number of resources whose permissions are added, about 13 policy lines each


def create_canned_app(settings: Settings) -> ASGIApp:
    """The complete gate (key, policy, limits, usage, metrics) before the bare application."""
    logger = configure_logging(level=settings.log_level, readable=False, stream=standard_error())
    services = build_services(settings)
    extra = [f"a_resource_{number}" for number in range(int(os.environ.get(EXTRA_RESOURCES, "0")))]
    authorizer = Authorizer(catalogue([*extra, *services.registry.names]))
    features = replace(services.features, authorizer=authorizer)
    route = Route("GET", CANNED_PATH, Terms(requires("contacts:read")), bare.create_app())
    return compose(replace(services, features=features), AccessLog(logger, settings.access_log_share), [route])


def _create_bare_app(_settings: Settings) -> ASGIApp:
    return bare.create_app()


def _create_many_headers_app(_settings: Settings) -> ASGIApp:
    return bare.create_many_headers_app()


_APPLICATIONS: dict[str, CreateApp] = {
    "bare": _create_bare_app,
    "many-headers": _create_many_headers_app,
    "canned": create_canned_app,
}


def main() -> None:
    """Serve until stopped. Arguments: name of the application, number of workers, port."""
    name, workers, port = sys.argv[1:]
    create = _APPLICATIONS[name]
    sys.exit(not run_server(Settings, host=LOOPBACK, port=int(port), workers=int(workers), create=create))


if __name__ == "__main__":
    main()
