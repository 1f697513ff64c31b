"""``tenantry keys``: the API keys of tenants."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

from gateway.cli.command_group import AS_JSON
from gateway.cli.options import EXPIRES_IN_DAYS, NAMED_TENANT, in_days
from gateway.cli.output import CommandFailed, print_list, print_object
from gateway.cli.pages import all_pages
from gateway.cli.settings import load_settings
from gateway.features import Features, administer
from tenants.api_keys.filters import KeyField, KeyFilter, ListedKey
from tenants.api_keys.schemas import ApiKeyCreated, ApiKeyResponse, CreateApiKey
from tenants.api_keys.status import KeyStatus
from tenants.audit.origin import COMMAND_LINE
from tenants.crud.filters import Operator
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.errors import NotFound
from tenants.identifiers import API_KEY, USER, ApiKeyId, TenantId, read
from tenants.roles.builtin import BuiltInRole
from tenants.values.errors import BadValue
from tenants.values.timestamps import read_timestamp

app = typer.Typer(help="Create, list, disable and revoke the API keys of a tenant.", no_args_is_help=True)

_COLUMNS = ("id", "name", "role", "status", "prefix", "last4", "created_at", "expires_at", "last_used_at", "requests")
_KEY = typer.Argument(help="Id of the key (key_…), from `tenantry keys list`.")

Change = Callable[[Features, TenantId, ApiKeyId], Awaitable[None]]  # in transactions of its own


@app.command()
def create(
    context: typer.Context,
    *,
    tenant: Annotated[str, NAMED_TENANT],
    name: Annotated[str, typer.Option(help="Name of the key.")],
    description: Annotated[str, typer.Option(help="What the key is for.")] = "",
    metadata: Annotated[
        list[str] | None, typer.Option(help="A text of your own, as name=value; can be repeated.")
    ] = None,
    role: Annotated[
        str, typer.Option(help="Role of the key, built in or the tenant's own.")
    ] = BuiltInRole.MEMBER.value,
    scope: Annotated[
        list[str] | None, typer.Option(help="Restrict the key to this permission; can be repeated.")
    ] = None,
    expires_in_days: Annotated[int | None, EXPIRES_IN_DAYS] = None,
    expires_at: Annotated[
        str | None, typer.Option(help="Time at which it expires, such as 2030-12-31T00:00:00Z.")
    ] = None,
    cidr: Annotated[
        list[str] | None,
        typer.Option("--cidr", "--allowed-cidr", help="Network that the key can be used from; can be repeated."),
    ] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Create a key. Its secret is printed now and cannot be shown again."""
    if expires_at is not None and expires_in_days is not None:
        raise CommandFailed("usage_invalid", "Give --expires-at or --expires-in-days, not both.")
    request = CreateApiKey(
        name=name,
        description=description,
        metadata=dict(_pair(each) for each in metadata or ()),
        role=role,
        scopes=scope or None,
        expires_at=in_days(expires_in_days) if expires_at is None else _time("--expires-at", expires_at),
        allowed_cidrs=cidr or [],
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
    context: typer.Context,
    *,
    tenant: Annotated[str, NAMED_TENANT],
    status: Annotated[list[KeyStatus] | None, typer.Option(help="Only this status; can be repeated.")] = None,
    role: Annotated[str | None, typer.Option(help="Only keys with this role.")] = None,
    name: Annotated[str | None, typer.Option(help="Only keys whose name contains this.")] = None,
    created_by: Annotated[
        str | None, typer.Option(help="Only keys that this person or key made (usr_…, key_…).")
    ] = None,
    unused_since: Annotated[str | None, typer.Option(help="Only keys not used since this time (RFC 3339).")] = None,
    expires_before: Annotated[str | None, typer.Option(help="Only keys that end before this time (RFC 3339).")] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """List the keys of a tenant, newest first, with those that have ended."""
    given: list[tuple[KeyField, Operator, object]] = [
        (KeyField.STATUS, Operator.IN, status or None),
        (KeyField.ROLE, Operator.EQ, role),
        (KeyField.NAME, Operator.CONTAINS, name),
        (KeyField.CREATED_BY, Operator.EQ, _maker(created_by)),
        (KeyField.EXPIRES_AT, Operator.LT, _time("--expires-before", expires_before)),
    ]
    filters = [KeyFilter(*each) for each in given if each[-1] is not None]
    unused = _time("--unused-since", unused_since)

    async def work(features: Features) -> list[dict[str, Any]]:
        async with features.database.control() as session:
            owner = await features.directory.read_named(session, tenant)
        found = await _all(features, owner.id, filters)
        return [_shown(each) for each in found if unused is None or _last_sign(each) < unused]

    print_list(administer(load_settings(context), work), _COLUMNS, as_json=as_json)


@app.command()
def revoke(
    context: typer.Context,
    *,
    tenant: Annotated[str, NAMED_TENANT],
    key: Annotated[str, _KEY],
    descendants: Annotated[
        bool, typer.Option("--descendants", help="Revoke all that the key made, too, transitively.")
    ] = False,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Revoke a key permanently. Returns when every worker refuses it."""

    async def change(features: Features, tenant: TenantId, key: ApiKeyId) -> None:
        if descendants:
            await features.api_keys.revoke_with_made(features.database.control, tenant, key, origin=COMMAND_LINE)
            return
        async with features.database.control() as session:
            await features.api_keys.revoke(session, tenant, key, origin=COMMAND_LINE)

    _change(context, tenant, key, change, ends_rights=True, as_json=as_json)


@app.command()
def disable(
    context: typer.Context,
    *,
    tenant: Annotated[str, NAMED_TENANT],
    key: Annotated[str, _KEY],
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Disable a key on every worker, until it is enabled."""

    async def change(features: Features, tenant: TenantId, key: ApiKeyId) -> None:
        async with features.database.control() as session:
            await features.key_changes.disable(session, tenant, key, origin=COMMAND_LINE)

    _change(context, tenant, key, change, ends_rights=True, as_json=as_json)


@app.command()
def enable(
    context: typer.Context,
    *,
    tenant: Annotated[str, NAMED_TENANT],
    key: Annotated[str, _KEY],
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Enable a key that was disabled."""

    async def change(features: Features, tenant: TenantId, key: ApiKeyId) -> None:
        async with features.database.control() as session:
            await features.key_changes.enable(session, tenant, None, key, origin=COMMAND_LINE)

    _change(context, tenant, key, change, ends_rights=False, as_json=as_json)


@app.command()
def peppers(context: typer.Context, *, as_json: Annotated[bool, AS_JSON] = False) -> None:
    """Show how many keys of all tenants, and of operators, need each pepper. One that no key needs can be removed."""

    async def work(features: Features) -> list[dict[str, Any]]:
        async with features.database.control() as session:
            keys = await features.api_keys.count_by_pepper(session)
            operators = await features.operator_keys.count_by_pepper(session)
        known = features.hasher.versions
        return [
            {
                "version": version,
                "use": "missing" if version not in known else "new keys" if version == known[0] else "old keys",
                "api_keys": keys.get(version, 0),
                "operator_keys": operators.get(version, 0),
            }
            for version in dict.fromkeys((*known, *sorted({*keys, *operators})))
        ]

    columns = ("version", "use", "api_keys", "operator_keys")
    print_list(administer(load_settings(context), work), columns, as_json=as_json)


def _change(
    context: typer.Context,
    tenant: str,
    key: str,
    change: Change,
    *,
    ends_rights: bool,
    as_json: bool,
) -> None:
    """Change one key and print it; what ends rights is printed when every worker applies it."""

    async def work(features: Features) -> dict[str, Any]:
        identifier = read(API_KEY, key)
        if identifier is None:
            raise NotFound("This is not the id of a key (key_…).")
        async with features.database.control() as session:
            owner = await features.directory.read_named(session, tenant)
        await change(features, owner.id, ApiKeyId(identifier))
        async with features.database.control() as session:
            found = await features.api_keys.listed(session, owner.id, ApiKeyId(identifier))
        return _shown(found)

    shown = ("id", "name", "role", "status", "disabled_at", "revoked_at")
    print_object(administer(load_settings(context), work, ends_rights=ends_rights), shown, as_json=as_json)


async def _all(features: Features, tenant: TenantId, filters: Sequence[KeyFilter]) -> list[ListedKey]:
    async def page(session: ControlSession, keyset: Keyset) -> Sequence[ListedKey]:
        return await features.api_keys.page(session, tenant, keyset, filters)

    return await all_pages(features.database, page)


def _shown(found: ListedKey) -> dict[str, Any]:
    return ApiKeyResponse.of(found.key, found.use).model_dump(mode="json")


def _last_sign(found: ListedKey) -> datetime:
    """When the key was last used, or made if it never was."""
    return found.use.last_used_at if found.use else found.key.created_at


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise CommandFailed("validation_failed", "--metadata must be name=value.")
    return name, value


def _maker(text: str | None) -> object:
    found = None if text is None else read(USER, text) or read(API_KEY, text)
    if text is not None and found is None:
        raise CommandFailed("validation_failed", "--created-by must be the id of a person (usr_…) or a key (key_…).")
    return found


def _time(option: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else read_timestamp(text)
    except BadValue as error:
        raise CommandFailed("validation_failed", f"{option}: {error.message}") from error
