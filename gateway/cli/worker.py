"""``tenantry worker``: jobs and cron."""

from typing import Annotated

import typer

from gateway.cli.loading import settings_of
from gateway.worker import run_worker
from tenants.jobs.app import JobSettings

app = typer.Typer()


@app.command()
def worker(
    context: typer.Context,
    *,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Jobs at a time.")] = 4,
) -> None:
    """Do jobs and cron until told to stop; jobs that run are finished first. Any number of workers share the work."""
    run_worker(settings_of(context), JobSettings(concurrency=concurrency))
