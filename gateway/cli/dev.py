"""``tenantry dev``: everything on this machine, from nothing."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.development.run import run
from gateway.development.stack import Wish

app = typer.Typer()


@app.command()
def dev(
    *,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the gateway, on loopback.")] = 8000,
    data: Annotated[Path, typer.Option(file_okay=False, help="Folder that keeps everything.")] = Path(".tenantry"),
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes of the gateway.")] = 1,
    reset: Annotated[
        bool, typer.Option("--reset", help="Forget all that the data folder keeps, and start anew.")
    ] = False,
    database_url: Annotated[
        str | None,
        typer.Option(envvar="TENANTRY_DATABASE_URL", help="A superuser of a PostgreSQL that runs; without it, ours."),
    ] = None,
    owner_database_url: Annotated[
        str | None, typer.Option(envvar="TENANTRY_OWNER_DATABASE_URL", help="Where the other is no superuser.")
    ] = None,
    redis_url: Annotated[
        str | None, typer.Option(envvar="TENANTRY_REDIS_URL", help="A Redis that runs; without it, ours.")
    ] = None,
) -> None:
    """Start PostgreSQL, Redis, a Stripe stand-in, two demo tenants, the gateway and the worker; Ctrl-C stops it all."""
    wish = Wish(port, workers, database_url, owner_database_url, redis_url)
    run(data, wish, reset=reset, say=typer.echo)
