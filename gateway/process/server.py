"""The gateway under uvicorn: one process, or several that share a socket."""

from collections.abc import Callable

from gateway.app import create_app
from gateway.http1.sockets import listen, raise_descriptor_limit
from gateway.logs.setup import configure_logging
from gateway.process.applications import Applications, Create
from gateway.process.configuration import uvicorn_config
from gateway.process.draining import DrainingServer
from gateway.process.manager import Workers
from gateway.settings import Mode, Settings


def run_server(
    load: Callable[[], Settings], *, host: str, port: int, workers: int, create: Create = create_app
) -> bool:
    """Serve until SIGTERM or SIGINT. False when the gateway did not start, which its log explains.

    ``load`` reads the settings: now, and again at SIGHUP, which replaces several workers one after another; ``create``
    makes each worker's application of them. Raises what ``load`` raises, and OSError when the address cannot be
    listened on.
    """
    with Applications.open(load, create, workers) as applications:
        return _run(applications, host=host, port=port, workers=workers)


def _run(applications: Applications, *, host: str, port: int, workers: int) -> bool:
    settings = applications.settings
    listened = {"factory": True, "host": host, "port": port, "workers": workers}
    config = uvicorn_config(applications.factory(), applications.protocols(), **listened)
    raise_descriptor_limit()
    listener = listen(host, port)
    if workers > 1:
        configure_logging(level=settings.log_level, readable=settings.mode is Mode.DEVELOPMENT)
        manager = Workers(config, listener, applications)
        manager.run()
        return not manager.gave_up
    server = DrainingServer(config, settings.stop_notice_seconds)
    server.run([listener])
    return server.started
