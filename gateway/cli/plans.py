"""``tenantry plans``: the plans that a SaaS sells."""

import tomllib
from pathlib import Path
from typing import Annotated

import typer

from billing.plans.catalogue import read_catalogue
from gateway.cli.faults import CommandFailed
from gateway.cli.groups import AS_JSON
from gateway.cli.loading import settings_of
from gateway.cli.output import print_fields, print_json
from gateway.features import Features, administer

app = typer.Typer(help="Write the plans that tenants may be on.", no_args_is_help=True)


@app.callback()
def plans() -> None:
    """Write the plans that tenants may be on."""


@app.command("seed")
def seed_plans(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="TOML, as examples/crm/plans.toml.")],
    *,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Write the plans of a file; those that are there already are changed, those that the file lacks stay."""
    try:
        catalogue = read_catalogue(file)
    except tomllib.TOMLDecodeError as error:
        raise CommandFailed("validation_failed", f"{file} is not TOML: {error}") from error

    async def work(features: Features) -> list[str]:
        async with features.database.control() as session:
            return await features.plans.seed(session, catalogue)

    changed = administer(settings_of(context), work)
    answer = {"plans": [each.code for each in catalogue.plans], "changed": changed}
    if as_json:
        print_json(answer)
    else:
        print_fields(answer)
