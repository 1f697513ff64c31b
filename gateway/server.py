"""The gateway under uvicorn: one process, or several that share a socket."""

import asyncio
from functools import partial
from typing import cast

import uvicorn
from uvicorn.supervisors import Multiprocess

from gateway.app import create_app
from gateway.edge.protocol import EdgeProtocols
from gateway.edge.sockets import listen, raise_descriptor_limit
from gateway.settings import Settings

_DRAIN = 10  # seconds that requests in flight are given when we are told to stop
_KEEP_ALIVE = 75  # seconds that an idle connection may stay: longer than the proxies before us keep theirs
_SILENCE = 30  # seconds until a worker counts as hung; one that still imports is silent too, long under load


def run_server(settings: Settings, *, host: str, port: int, workers: int) -> bool:
    """Serve until SIGTERM or SIGINT. False when the gateway did not start, which its log explains.

    Raises OSError when the address cannot be listened on.
    """
    # Without Redis each worker gives its share of a limit: never let it believe that there are fewer than there are.
    told = settings.model_copy(update={"workers": max(settings.workers, workers)})
    config = uvicorn.Config(
        partial(create_app, told),
        factory=True,
        host=host,
        port=port,
        workers=workers,
        loop="uvloop",
        http=cast("type[asyncio.Protocol]", EdgeProtocols(told)),  # a maker of protocols, called as a class would be
        ws="none",  # none is served: a request to upgrade is answered as any other
        log_config=None,  # ours is set up by the application
        access_log=False,  # one structured line of ours instead
        server_header=False,
        proxy_headers=False,  # the edge believes proxies that the settings name, and no others
        timeout_graceful_shutdown=_DRAIN,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_worker_healthcheck=_SILENCE,
    )
    raise_descriptor_limit()
    listener = listen(host, port)
    if workers > 1:
        Multiprocess(config, sockets=[listener]).run()
        return True
    server = uvicorn.Server(config)
    server.run([listener])
    return server.started
