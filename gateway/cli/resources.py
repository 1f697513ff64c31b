"""``tenantry resources``: what a SaaS team does with the resources that it declares."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.faults import CommandFailed
from gateway.cli.groups import AS_JSON
from gateway.cli.loading import settings_of
from gateway.cli.output import print_fields, print_json
from migrations.autogenerate import resources_migration
from tenants.resources.registry import load_registry, make_revisions_folder

app = typer.Typer(help="Work on the resources that TENANTRY_RESOURCES declares.", no_args_is_help=True)


@app.callback()
def resources() -> None:
    """Work on the resources that TENANTRY_RESOURCES declares."""


@app.command()
def migration(
    context: typer.Context,
    *,
    message: Annotated[str, typer.Option("--message", "-m", help="What changes, in a few words.")],
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Write the next revision of the tenants' tables: what the models say and the revisions do not make yet.

    The database is only looked at. Read the file before you commit it; `tenantry migrate` applies it.
    """
    settings = settings_of(context)
    if settings.resources is None or settings.owner_database_url is None:
        raise CommandFailed("settings_invalid", "TENANTRY_RESOURCES and TENANTRY_OWNER_DATABASE_URL must both be set.")
    make_revisions_folder(settings.resources)
    location, *others = load_registry(settings.resources).migrations
    written = resources_migration(str(settings.owner_database_url), message, location, others=tuple(others))
    answer = {"written": str(_relative(written))}
    if as_json:
        print_json(answer)
    else:
        print_fields(answer)


def _relative(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
