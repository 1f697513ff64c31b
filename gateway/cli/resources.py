"""``tenantry resources``: migrations of the tables that a project declares."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.command_group import AS_JSON
from gateway.cli.output import CommandFailed, print_fields, print_json
from gateway.cli.settings import load_settings
from migrations.autogenerate import resources_migration
from tenants.resources.registry import load_registry, make_revisions_folder

app = typer.Typer(help="Write migrations for the project's resources.", no_args_is_help=True)


@app.callback()
def resources() -> None:
    """Write migrations for the project's resources."""


@app.command()
def migration(
    context: typer.Context,
    *,
    message: Annotated[str, typer.Option("--message", "-m", help="The change in a few words, for the file's name.")],
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Write the next revision of the tenants' tables: the difference between the models and the last revision.

    The database is not changed. Review the file before you commit it; `tenantry migrate` applies it.
    """
    settings = load_settings(context)
    if settings.resources is None or settings.owner_database_url is None:
        raise CommandFailed(
            "settings_invalid",
            "TENANTRY_RESOURCES and TENANTRY_OWNER_DATABASE_URL must be set. While `tenantry dev` runs, "
            "`tenantry --env-file .tenantry/tenantry.env resources migration` uses its settings.",
        )
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
