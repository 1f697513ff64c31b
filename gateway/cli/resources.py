"""``tenantry resources``: the tables that a project declares, and their migrations."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.command_group import AS_JSON
from gateway.cli.output import CommandFailed, print_fields, print_json
from gateway.cli.settings import load_settings
from gateway.routing.saas import permissions_of
from gateway.settings import Settings
from migrations.autogenerate import missing_operations, resources_migration
from migrations.servable import Release
from migrations.streams import heads, tenant_stream
from tenants.resources.registry import load_registry, make_revisions_folder

app = typer.Typer(help="Write and check migrations of the project's resources.", no_args_is_help=True)


@app.callback()
def resources() -> None:
    """Write and check migrations of the project's resources."""


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
    module, owner_url = _given(load_settings(context))
    make_revisions_folder(module)
    location, *others = load_registry(module).migrations
    written = resources_migration(owner_url, message, location, others=tuple(others))
    _print({"written": str(_relative(written))}, as_json=as_json)


@app.command()
def check(context: typer.Context, *, as_json: Annotated[bool, AS_JSON] = False) -> None:
    """Check the declarations: they can be served, the revisions make the models' tables, OLDEST_SERVABLE exists.

    The database is not changed.
    """
    module, owner_url = _given(load_settings(context))
    registry = load_registry(module)
    permissions_of(registry)  # checks the routers
    Release.of(registry)
    location, *others = registry.migrations
    missing = missing_operations(owner_url, location, others=tuple(others))
    if missing:
        advice = "The models and the revisions differ. Write the next one with `tenantry resources migration -m ...`."
        raise CommandFailed("models_changed", advice, *missing.splitlines())
    answer = {"resources": list(registry.names), "revisions": list(heads(tenant_stream(registry.migrations)))}
    _print({**answer, "oldest_servable": registry.oldest_servable}, as_json=as_json)


def _given(settings: Settings) -> tuple[str, str]:
    """The project's module and the owner's URL."""
    if settings.resources is None or settings.owner_database_url is None:
        raise CommandFailed(
            "settings_invalid",
            "TENANTRY_RESOURCES and TENANTRY_OWNER_DATABASE_URL must be set. While `tenantry dev` runs, "
            "`tenantry --env-file .tenantry/tenantry.env resources migration` uses its settings.",
        )
    return settings.resources, str(settings.owner_database_url)


def _print(answer: Mapping[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        print_fields(answer)


def _relative(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
