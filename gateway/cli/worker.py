"""``tenantry worker``: background jobs and scheduled jobs."""

from typing import Annotated

import typer

from gateway.cli.settings import load_settings
from gateway.worker import run_worker
from tenants.jobs.app import JobSettings

app = typer.Typer()


@app.command()
def worker(
    context: typer.Context,
    *,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Jobs that run at the same time.")] = 4,
) -> None:
    """Run background and scheduled jobs until SIGTERM or SIGINT; running jobs are completed first.

    Any number of workers share the jobs.
    """
    run_worker(load_settings(context), JobSettings(concurrency=concurrency))
