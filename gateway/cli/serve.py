"""``tenantry serve``: the gateway under uvicorn."""

from functools import partial
from typing import Annotated

import typer

from gateway.cli.output import CommandFailed
from gateway.cli.settings import load_settings
from gateway.process.server import run_server

app = typer.Typer()


@app.command()
def serve(
    context: typer.Context,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 chooses a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes on this host.")] = 1,
) -> None:
    """Serve the API until SIGTERM or SIGINT; requests in flight are completed first."""
    load = partial(load_settings, context)
    try:
        started = run_server(load, host=host, port=port, workers=workers)
    except OSError as error:
        raise CommandFailed("address_unusable", f"Cannot listen on {host} port {port}: {error.strerror}.") from error
    if not started:
        raise CommandFailed("not_started", "The gateway did not start. See the log above.")
