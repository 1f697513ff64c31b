"""``tenantry operator-keys``: the credentials of the SaaS's own staff."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from gateway.cli.groups import AS_JSON
from gateway.cli.loading import settings_of
from gateway.cli.output import print_fields, print_json
from gateway.features import Features, administer
from tenants.identifiers import OPERATOR_KEY, show

app = typer.Typer(help="Make the keys of the SaaS's own staff.", no_args_is_help=True)


@app.callback()
def operator_keys() -> None:
    """Make the keys of the SaaS's own staff."""


@app.command()
def create(
    context: typer.Context,
    *,
    name: Annotated[str, typer.Option(help="Whose key it is.")],
    expires_in_days: Annotated[int | None, typer.Option(min=1, help="Days until it ends; never without it.")] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Make a key for /operator/v1. Its secret is shown this once and kept nowhere."""
    expires_at = datetime.now(UTC) + timedelta(days=expires_in_days) if expires_in_days else None

    async def work(features: Features) -> dict[str, Any]:
        async with features.database.control() as session:
            made = await features.operator_keys.create(session, name, expires_at)
            return {
                "id": show(OPERATOR_KEY, made.key.id),
                "name": made.key.name,
                "expires_at": expires_at,
                "secret": made.secret,
            }

    made = administer(settings_of(context), work)
    if as_json:
        print_json(made)
    else:
        print_fields(made)
