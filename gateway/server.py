"""The gateway under uvicorn: one process, or several that share a socket."""

from collections.abc import Callable

import uvicorn

from gateway.edge.sockets import listen, raise_descriptor_limit
from gateway.logs import configure_logging
from gateway.serving.applications import Applications
from gateway.serving.draining import DRAIN, DrainingServer
from gateway.serving.manager import Workers
from gateway.settings import Mode, Settings

_KEEP_ALIVE = 75  # seconds that an idle connection may stay: longer than the proxies before us keep theirs
_SILENCE = 30  # seconds until a worker counts as hung; one that still imports is silent too, long under load


def run_server(load: Callable[[], Settings], *, host: str, port: int, workers: int) -> bool:
    """Serve until SIGTERM or SIGINT. False when the gateway did not start, which its log explains.

    ``load`` reads the settings: now, and again at SIGHUP, which replaces several workers one after another. Raises what
    it raises, and OSError when the address cannot be listened on.
    """
    with Applications.open(load, workers) as applications:
        return _run(applications, host=host, port=port, workers=workers)


def _run(applications: Applications, *, host: str, port: int, workers: int) -> bool:
    settings = applications.settings
    config = uvicorn.Config(
        applications.factory(),
        factory=True,
        host=host,
        port=port,
        workers=workers,
        loop="uvloop",
        http=applications.protocols(),
        ws="none",  # none is served: a request to upgrade is answered as any other
        log_config=None,  # ours is set up by the application
        access_log=False,  # one structured line of ours instead
        server_header=False,
        proxy_headers=False,  # the edge believes proxies that the settings name, and no others
        timeout_graceful_shutdown=DRAIN,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_worker_healthcheck=_SILENCE,
    )
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
