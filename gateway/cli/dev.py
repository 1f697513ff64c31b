"""``tenantry dev``: a complete deployment on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import CommandFailed
from gateway.development.options import DevOptions
from gateway.development.run import run
from tenants.resources.project import check_modules, declared_resources

app = typer.Typer()


@app.command()
def dev(
    *,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the gateway on loopback.")] = 8000,
    data: Annotated[Path, typer.Option(file_okay=False, help="Folder for databases, keys and logs.")] = Path(
        ".tenantry"
    ),
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes of the gateway.")] = 1,
    reset: Annotated[bool, typer.Option("--reset", help="Delete the data of earlier runs first.")] = False,
    resources: Annotated[
        str | None,
        typer.Option(
            envvar="TENANTRY_RESOURCES",
            help="Module with RESOURCES; by default the one that [tool.tenantry] in pyproject.toml names.",
        ),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(envvar="TENANTRY_DATABASE_URL", help="Superuser URL of a running PostgreSQL to use."),
    ] = None,
    owner_database_url: Annotated[
        str | None,
        typer.Option(
            envvar="TENANTRY_OWNER_DATABASE_URL", help="Owner of the schemas, when --database-url is not a superuser."
        ),
    ] = None,
    redis_url: Annotated[
        str | None, typer.Option(envvar="TENANTRY_REDIS_URL", help="URL of a running Redis to use.")
    ] = None,
) -> None:
    """Start PostgreSQL, Redis, a Stripe stand-in, two demo tenants, gateway and worker. Ctrl-C stops them all."""
    module = resources or declared_resources(Path.cwd())
    if module is None:
        raise CommandFailed(
            "no_resources",
            "This folder is no Tenantry project. `tenantry new NAME` writes one; or name the module that declares your "
            'resources: --resources app.resources, or resources = "app.resources" under [tool.tenantry] in '
            "pyproject.toml.",
        )
    check_modules(Path.cwd())
    run(
        data,
        DevOptions(port, workers, module, database_url, owner_database_url, redis_url),
        reset=reset,
        say=typer.echo,
    )
