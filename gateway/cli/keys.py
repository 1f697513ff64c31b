"""``tenantry keys``: the API keys of tenants."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from gateway.cli.command_group import AS_JSON
from gateway.cli.options import EXPIRES_IN_DAYS, NAMED_TENANT, in_days
from gateway.cli.output import print_list, print_object
from gateway.cli.pages import all_pages
from gateway.cli.settings import load_settings
from gateway.features import Features, administer
from tenants.api_keys.models import ApiKey
from tenants.api_keys.schemas import ApiKeyCreated, ApiKeyResponse, CreateApiKey
from tenants.audit.origin import COMMAND_LINE
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.errors import NotFound
from tenants.identifiers import API_KEY, ApiKeyId, TenantId, read
from tenants.roles.builtin import BuiltInRole

app = typer.Typer(help="Create, list and revoke the API keys of a tenant.", no_args_is_help=True)

_COLUMNS = ("id", "name", "role", "environment", "prefix", "last4", "created_at", "expires_at", "revoked_at")


@app.command()
def create(
    context: typer.Context,
    *,
    tenant: Annotated[str, NAMED_TENANT],
    name: Annotated[str, typer.Option(help="Name of the key.")],
    role: Annotated[
        str, typer.Option(help="Role of the key, built in or the tenant's own.")
    ] = BuiltInRole.MEMBER.value,
    scope: Annotated[
        list[str] | None, typer.Option(help="Restrict the key to this permission; can be repeated.")
    ] = None,
    expires_in_days: Annotated[int | None, EXPIRES_IN_DAYS] = None,
    allowed_cidr: Annotated[
        list[str] | None, typer.Option(help="Network that the key can be used from; can be repeated.")
    ] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Create a key. Its secret is printed now and cannot be shown again."""
    request = CreateApiKey(
        name=name,
        role=role,
        scopes=scope or None,
        expires_at=in_days(expires_in_days),
        allowed_cidrs=allowed_cidr or [],
    )

    async def work(features: Features) -> dict[str, Any]:
        async with features.database.control() as session:
            owner = await features.directory.read_named(session, tenant)
            roles = await features.roles.held(session, owner.id)
            created = await features.api_keys.create(
                session, owner.id, None, request, origin=COMMAND_LINE, policy=roles.policy
            )
            return ApiKeyCreated.with_secret(created.key, created.secret).model_dump(mode="json")

    shown = ("id", "name", "role", "scopes", "expires_at", "secret")
    print_object(administer(load_settings(context), work), shown, as_json=as_json)


@app.command("list")
def list_keys(
    context: typer.Context, *, tenant: Annotated[str, NAMED_TENANT], as_json: Annotated[bool, AS_JSON] = False
) -> None:
    """List the keys of a tenant, newest first, with expired and revoked ones."""

    async def work(features: Features) -> list[dict[str, Any]]:
        async with features.database.control() as session:
            owner = await features.directory.read_named(session, tenant)
        return await _all(features, owner.id)

    print_list(administer(load_settings(context), work), _COLUMNS, as_json=as_json)


@app.command()
def revoke(
    context: typer.Context,
    *,
    tenant: Annotated[str, NAMED_TENANT],
    key: Annotated[str, typer.Argument(help="Id of the key (key_…), from `tenantry keys list`.")],
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Revoke a key permanently. Returns when every worker refuses it."""

    async def work(features: Features) -> dict[str, Any]:
        identifier = read(API_KEY, key)
        if identifier is None:
            raise NotFound("This is not the id of a key (key_…).")
        async with features.database.control() as session:
            owner = await features.directory.read_named(session, tenant)
            await features.api_keys.revoke(session, owner.id, ApiKeyId(identifier), origin=COMMAND_LINE)
            found = await features.api_keys.read(session, owner.id, ApiKeyId(identifier))
            return ApiKeyResponse.of(found).model_dump(mode="json")

    shown = ("id", "name", "role", "revoked_at")
    print_object(administer(load_settings(context), work, ends_rights=True), shown, as_json=as_json)


async def _all(features: Features, tenant: TenantId) -> list[dict[str, Any]]:
    async def page(session: ControlSession, keyset: Keyset) -> Sequence[ApiKey]:
        return await features.api_keys.page(session, tenant, keyset)

    keys = await all_pages(features.database, page)
    return [ApiKeyResponse.of(key).model_dump(mode="json") for key in keys]
