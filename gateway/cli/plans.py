"""``tenantry plans``: the plans that tenants can have."""

import tomllib
from pathlib import Path
from typing import Annotated

import typer

from billing.plans.catalogue import read_catalogue
from gateway.cli.command_group import AS_JSON
from gateway.cli.output import CommandFailed, print_fields, print_json
from gateway.cli.settings import load_settings
from gateway.features import Features, administer
from tenants.audit.origin import COMMAND_LINE

app = typer.Typer(help="Manage the plans that tenants can have.", no_args_is_help=True)


@app.callback()
def plans() -> None:
    """Manage the plans that tenants can have."""


@app.command("seed")
def seed_plans(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, help="TOML file of plans, such as the plans.toml of `tenantry new`."
        ),
    ],
    *,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Create or update the plans in a file. Plans that the file does not contain are kept."""
    try:
        catalogue = read_catalogue(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandFailed("validation_failed", f"{file} is not valid TOML: {error}") from error

    async def work(features: Features) -> list[str]:
        async with features.database.control() as session:
            return await features.plans.seed(session, catalogue, origin=COMMAND_LINE)

    changed = administer(load_settings(context), work, ends_rights=True)
    answer = {"plans": [each.code for each in catalogue.plans], "changed": changed}
    if as_json:
        print_json(answer)
    else:
        print_fields(answer)
