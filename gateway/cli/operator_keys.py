"""``tenantry operator-keys``: credentials for the operators of the SaaS."""

from typing import Annotated, Any

import typer

from gateway.cli.command_group import AS_JSON
from gateway.cli.options import EXPIRES_IN_DAYS, in_days
from gateway.cli.output import print_list, print_object
from gateway.cli.pages import all_pages
from gateway.cli.settings import load_settings
from gateway.features import Features, administer
from tenants.audit.origin import COMMAND_LINE
from tenants.errors import NotFound
from tenants.identifiers import OPERATOR_KEY, OperatorKeyId, read
from tenants.operator_keys.schemas import CreateOperatorKey, OperatorKeyCreated, OperatorKeyResponse
from tenants.principal import OperatorRole

app = typer.Typer(help="Create, list and revoke keys for the operators of the SaaS.", no_args_is_help=True)

_COLUMNS = ("id", "name", "role", "prefix", "last4", "created_at", "expires_at", "revoked_at")


@app.command()
def create(
    context: typer.Context,
    *,
    name: Annotated[str, typer.Option(help="Name of the key, such as its owner's.")],
    role: Annotated[
        OperatorRole, typer.Option(help="admin may do everything, support only read, verifier only verify credentials.")
    ] = OperatorRole.ADMIN,
    expires_in_days: Annotated[int | None, EXPIRES_IN_DAYS] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Create a key for /operator/v1. Its secret is printed now and cannot be shown again."""
    requested = CreateOperatorKey(name=name, role=role, expires_at=in_days(expires_in_days))

    async def work(features: Features) -> dict[str, Any]:
        async with features.database.control() as session:
            created = await features.operator_keys.create(session, requested, origin=COMMAND_LINE)
            return OperatorKeyCreated.with_secret(created.key, created.secret).model_dump(mode="json")

    shown = ("id", "name", "role", "expires_at", "secret")
    print_object(administer(load_settings(context), work), shown, as_json=as_json)


@app.command("list")
def list_keys(context: typer.Context, *, as_json: Annotated[bool, AS_JSON] = False) -> None:
    """List the operator keys, newest first, with expired and revoked ones."""
    print_list(administer(load_settings(context), _all), _COLUMNS, as_json=as_json)


@app.command()
def revoke(
    context: typer.Context,
    *,
    key: Annotated[str, typer.Argument(help="Id of the key (opk_…), from `tenantry operator-keys list`.")],
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Revoke a key permanently. Returns when every worker refuses it."""

    async def work(features: Features) -> dict[str, Any]:
        identifier = read(OPERATOR_KEY, key)
        if identifier is None:
            raise NotFound("This is not the id of an operator key (opk_…).")
        async with features.database.control() as session:
            await features.operator_keys.revoke(session, OperatorKeyId(identifier), origin=COMMAND_LINE)
            found = await features.operator_keys.read(session, OperatorKeyId(identifier))
            return OperatorKeyResponse.of(found).model_dump(mode="json")

    shown = ("id", "name", "role", "revoked_at")
    print_object(administer(load_settings(context), work, ends_rights=True), shown, as_json=as_json)


async def _all(features: Features) -> list[dict[str, Any]]:
    keys = await all_pages(features.database, features.operator_keys.page)
    return [OperatorKeyResponse.of(key).model_dump(mode="json") for key in keys]
