"""The gateway with one route more, whose answer is canned: what the gate alone costs."""

from starlette.types import ASGIApp

from benchmarks.bare import create_app as bare_app
from gateway.app import compose
from gateway.edge.access_log import AccessLog
from gateway.logs import configure_logging
from gateway.route import Audience, Guard, Route
from gateway.services import build_services
from gateway.settings import Settings

PATH = "/canned"


def create_app() -> ASGIApp:
    """A key, a policy, the windows of a plan, usage and metrics stand before the callable that is the yardstick."""
    settings = Settings()
    access = AccessLog(configure_logging(level="INFO", readable=False), settings.access_log_share)
    route = Route("GET", PATH, Guard(Audience.TENANTS, "contacts:read"), bare_app())
    return compose(build_services(settings), access, [route])
