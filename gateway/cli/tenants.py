"""``tenantry tenants``: the tenants of the deployment."""

import sys
from typing import Annotated, Any

import typer

from gateway.cli.command_group import AS_JSON
from gateway.cli.output import CommandFailed, print_fields, print_json, print_rows
from gateway.cli.pages import all_pages
from gateway.cli.settings import load_settings
from gateway.features import Features, administer
from tenants.audit.origin import COMMAND_LINE
from tenants.directory.models import Tenant
from tenants.directory.schemas import TenantResponse
from tenants.identifiers import TENANT, show
from tenants.onboarding.schemas import CreateTenant, TenantCreated
from tenants.principal import TenantStatus

app = typer.Typer(help="Create, list, suspend, resume and delete tenants.", no_args_is_help=True)

_COLUMNS = ("id", "slug", "name", "status", "plan", "created_at")
_TENANT = typer.Argument(metavar="TENANT", help="Slug or id (tnt_…).")


@app.command()
def create(
    context: typer.Context,
    *,
    slug: Annotated[str, typer.Argument(help="Unique short name: lower-case letters, digits and hyphens.")],
    name: Annotated[str | None, typer.Option(help="Display name; by default the slug.")] = None,
    plan: Annotated[str, typer.Option(help="Code of the plan.")] = "free",
    owner: Annotated[str | None, typer.Option(help="E-mail address of the first owner.")] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Create a tenant with its schema, its role and an admin key, whose secret cannot be shown again."""
    request = CreateTenant(slug=slug, name=name or slug, plan=plan, owner_email=owner)

    async def work(features: Features) -> dict[str, Any]:
        async with features.database.control() as session:
            created = await features.onboarding.create(session, request, origin=COMMAND_LINE)
            body = TenantCreated.made(created.tenant, created.key.key, created.key.secret)
            return body.model_dump(mode="json", by_alias=True)

    created = administer(load_settings(context), work)
    if as_json:
        print_json(created)
        return
    key = created.pop("api_key")
    print_fields({**created, "api_key": key["secret"]})


@app.command("list")
def list_tenants(
    context: typer.Context,
    *,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """List all tenants, newest first."""
    found = administer(load_settings(context), _all)
    if as_json:
        print_json({"data": found})
    else:
        print_rows(_COLUMNS, ([each[column] for column in _COLUMNS] for each in found))


@app.command()
def suspend(
    context: typer.Context, *, tenant: Annotated[str, _TENANT], as_json: Annotated[bool, AS_JSON] = False
) -> None:
    """Reject all requests of a tenant; its data is kept."""
    _set_status(context, tenant, TenantStatus.SUSPENDED, as_json=as_json)


@app.command()
def resume(
    context: typer.Context, *, tenant: Annotated[str, _TENANT], as_json: Annotated[bool, AS_JSON] = False
) -> None:
    """Accept the requests of a suspended tenant again."""
    _set_status(context, tenant, TenantStatus.ACTIVE, as_json=as_json)


@app.command()
def delete(
    context: typer.Context,
    *,
    tenant: Annotated[str, _TENANT],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Delete a tenant with all its data, permanently."""

    async def find(features: Features) -> Tenant:
        async with features.database.control() as session:
            return await features.directory.read_named(session, tenant)

    async def remove(features: Features) -> None:
        async with features.database.control() as session:
            await features.directory.delete(session, found.id, origin=COMMAND_LINE)

    # Two transactions: no lock is held during the prompt. The tenant in the prompt is the one that is deleted.
    found = administer(load_settings(context), find)
    if not yes:
        _confirm(found)
    administer(load_settings(context), remove)
    deleted = {"id": show(TENANT, found.id), "slug": found.slug, "deleted": True}
    if as_json:
        print_json(deleted)
    else:
        print_fields(deleted)


def _confirm(tenant: Tenant) -> None:
    """Prompt at a terminal. Raises CommandFailed when the answer is no, and without a terminal."""
    if not sys.stdin.isatty():
        raise CommandFailed("not_confirmed", "This deletes all data of the tenant permanently. Confirm with --yes.")
    question = f"Delete {tenant.slug} ({show(TENANT, tenant.id)}) with all its data, permanently?"
    if not typer.confirm(question, err=True):
        raise CommandFailed("not_confirmed", "Nothing was deleted.")


async def _all(features: Features) -> list[dict[str, Any]]:
    return [_fields(tenant) for tenant in await all_pages(features.database, features.directory.page)]


def _set_status(context: typer.Context, named: str, status: TenantStatus, *, as_json: bool) -> None:
    async def work(features: Features) -> dict[str, Any]:
        async with features.database.control() as session:
            tenant = await features.directory.read_named(session, named)
            return _fields(await features.directory.set_status(session, tenant.id, status, origin=COMMAND_LINE))

    changed = administer(load_settings(context), work)
    if as_json:
        print_json(changed)
    else:
        print_fields({name: changed[name] for name in _COLUMNS})


def _fields(tenant: Tenant) -> dict[str, Any]:
    return TenantResponse.of(tenant).model_dump(mode="json", by_alias=True)
