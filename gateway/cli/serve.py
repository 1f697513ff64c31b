"""``tenantry serve``: the gateway under uvicorn."""

import socket
from functools import partial
from typing import Annotated

import typer
import uvicorn
from uvicorn.supervisors import Multiprocess

from gateway.app import create_app
from gateway.cli.faults import CommandFailed
from gateway.cli.loading import settings_of
from gateway.settings import Settings

app = typer.Typer()

_DRAIN = 10  # seconds that requests in flight are given when we are told to stop
_KEEP_ALIVE = 75  # seconds that an idle connection may stay: longer than the proxies before us keep theirs


@app.command()
def serve(
    context: typer.Context,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes on this host.")] = 1,
) -> None:
    """Serve the API until told to stop; requests in flight are finished first."""
    settings = settings_of(context)
    run_server(settings, host=host, port=port, workers=workers)


def run_server(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises CommandFailed when the address is taken or the gateway cannot start."""
    # Without Redis each worker gives its share of a limit: never let it believe that there are fewer than there are.
    told = settings.model_copy(update={"workers": max(settings.workers, workers)})
    config = uvicorn.Config(
        partial(create_app, told),
        factory=True,
        host=host,
        port=port,
        workers=workers,
        loop="uvloop",
        http="httptools",
        log_config=None,  # ours is set up by the application
        access_log=False,  # one structured line of ours instead
        server_header=False,
        proxy_headers=False,  # the edge believes proxies that the settings name, and no others
        timeout_graceful_shutdown=_DRAIN,
        timeout_keep_alive=_KEEP_ALIVE,
    )
    listener = _listen(host, port)
    if workers > 1:
        Multiprocess(config, sockets=[listener]).run()
        return
    server = uvicorn.Server(config)
    server.run([listener])
    if not server.started:
        raise CommandFailed("not_started", "The gateway did not start; its log above says why.")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise CommandFailed("address_unusable", f"Cannot listen on {host} port {port}: {error.strerror}.") from error
    listener.set_inheritable(True)
    return listener
