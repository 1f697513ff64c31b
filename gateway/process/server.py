"""Runs the gateway under uvicorn, in one process or in several that share a socket."""

from collections.abc import Callable

from gateway.app import create_app as create_gateway
from gateway.http1.sockets import listen, raise_descriptor_limit
from gateway.logs.setup import configure_logging
from gateway.process.configuration import CreateApp, WorkerConfiguration, uvicorn_config
from gateway.process.draining import DrainingServer
from gateway.process.manager import WorkerManager
from gateway.settings import Mode, Settings


def run_server(
    load: Callable[[], Settings], *, host: str, port: int, workers: int, create: CreateApp = create_gateway
) -> bool:
    """Serve until SIGTERM or SIGINT. False if the gateway failed to start; its log says why.

    ``load`` reads the settings: now, and again on SIGHUP, which restarts several workers one after another. ``create``
    creates each worker's application. Raises what ``load`` raises, and OSError if the address is not available.
    """
    with WorkerConfiguration.open(load, create, workers) as configuration:
        return _run(configuration, host=host, port=port, workers=workers)


def _run(configuration: WorkerConfiguration, *, host: str, port: int, workers: int) -> bool:
    settings = configuration.settings
    options = {"factory": True, "host": host, "port": port, "workers": workers}
    config = uvicorn_config(configuration.app_factory(), configuration.protocol_factory(), **options)
    raise_descriptor_limit()
    listener = listen(host, port)
    if workers > 1:
        configure_logging(level=settings.log_level, readable=settings.mode is Mode.DEVELOPMENT)
        manager = WorkerManager(config, listener, configuration)
        manager.run()
        return not manager.startup_failed
    server = DrainingServer(config, settings.stop_notice_seconds)
    server.run([listener])
    return server.started
