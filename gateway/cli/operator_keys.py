"""``tenantry operator-keys``: credentials for the operators of the SaaS."""

from typing import Annotated, Any

import typer

from gateway.cli.command_group import AS_JSON
from gateway.cli.options import EXPIRES_IN_DAYS, in_days
from gateway.cli.output import print_fields, print_json
from gateway.cli.settings import load_settings
from gateway.features import Features, administer
from tenants.identifiers import OPERATOR_KEY, show
from tenants.operator_keys.schemas import CreateOperatorKey

app = typer.Typer(help="Create keys for the operators of the SaaS.", no_args_is_help=True)


@app.callback()
def operator_keys() -> None:
    """Create keys for the operators of the SaaS."""


@app.command()
def create(
    context: typer.Context,
    *,
    name: Annotated[str, typer.Option(help="Name of the key, such as its owner's.")],
    expires_in_days: Annotated[int | None, EXPIRES_IN_DAYS] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Create a key for /operator/v1. Its secret is printed now and cannot be shown again."""
    request = CreateOperatorKey(name=name, expires_at=in_days(expires_in_days))

    async def work(features: Features) -> dict[str, Any]:
        async with features.database.control() as session:
            created = await features.operator_keys.create(session, request)
            return {
                "id": show(OPERATOR_KEY, created.key.id),
                "name": created.key.name,
                "expires_at": created.key.expires_at,
                "secret": created.secret,
            }

    created = administer(load_settings(context), work)
    if as_json:
        print_json(created)
    else:
        print_fields(created)
