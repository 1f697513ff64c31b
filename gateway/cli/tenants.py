"""``tenantry tenants``: the customers of the SaaS."""

import sys
from typing import Annotated, Any

import typer

from gateway.cli.faults import CommandFailed
from gateway.cli.groups import AS_JSON
from gateway.cli.loading import settings_of
from gateway.cli.output import print_fields, print_json, print_rows
from gateway.features import Features, administer
from tenants.database.keyset import Keyset
from tenants.directory.models import Tenant
from tenants.directory.schemas import TenantResponse
from tenants.identifiers import TENANT, TenantId, show
from tenants.onboarding.schemas import CreateTenant, TenantCreated
from tenants.principal import TenantStatus

app = typer.Typer(help="Create, list, suspend, resume and delete tenants.", no_args_is_help=True)

_PAGE = 500
_COLUMNS = ("id", "slug", "name", "status", "plan", "created_at")
_NAMED = typer.Argument(metavar="TENANT", help="Slug or id (tnt_…).")


@app.command()
def create(
    context: typer.Context,
    *,
    slug: Annotated[str, typer.Argument(help="Short name in addresses: lower case letters, digits and hyphens.")],
    name: Annotated[str | None, typer.Option(help="Name for people; the slug without it.")] = None,
    plan: Annotated[str, typer.Option(help="Code of its plan.")] = "free",
    owner: Annotated[str | None, typer.Option(help="E-mail address of its first owner.")] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Make a tenant with its schema, its role and a first key, whose secret is shown this once."""
    wanted = CreateTenant(slug=slug, name=name or slug, plan=plan, owner_email=owner)

    async def work(features: Features) -> dict[str, Any]:
        async with features.database.control() as session:
            made = await features.onboarding.create(session, wanted)
            shown = TenantCreated.made(made.tenant, made.key.key, made.key.secret)
            return shown.model_dump(mode="json", by_alias=True)

    made = administer(settings_of(context), work)
    if as_json:
        print_json(made)
        return
    key = made.pop("api_key")
    print_fields({**made, "api_key": key["secret"]})


@app.command("list")
def list_tenants(
    context: typer.Context,
    *,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Show every tenant, the newest first."""
    found = administer(settings_of(context), _all)
    if as_json:
        print_json({"data": found})
    else:
        print_rows(_COLUMNS, ([each[column] for column in _COLUMNS] for each in found))


@app.command()
def suspend(
    context: typer.Context, *, tenant: Annotated[str, _NAMED], as_json: Annotated[bool, AS_JSON] = False
) -> None:
    """Refuse every request of a tenant from now on; its data stays."""
    _set_status(context, tenant, TenantStatus.SUSPENDED, as_json=as_json)


@app.command()
def resume(
    context: typer.Context, *, tenant: Annotated[str, _NAMED], as_json: Annotated[bool, AS_JSON] = False
) -> None:
    """Let a suspended tenant in again."""
    _set_status(context, tenant, TenantStatus.ACTIVE, as_json=as_json)


@app.command()
def delete(
    context: typer.Context,
    *,
    tenant: Annotated[str, _NAMED],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Delete a tenant with all its data, for good."""

    async def find(features: Features) -> Tenant:
        async with features.database.control() as session:
            return await features.directory.read_named(session, tenant)

    async def remove(features: Features) -> None:
        async with features.database.control() as session:
            await features.directory.delete(session, found.id)

    # Two transactions: nobody waits for a lock while somebody thinks. What was named in the question is what goes.
    found = administer(settings_of(context), find)
    if not yes:
        _confirm(found)
    administer(settings_of(context), remove)
    deleted = {"id": show(TENANT, found.id), "slug": found.slug, "deleted": True}
    if as_json:
        print_json(deleted)
    else:
        print_fields(deleted)


def _confirm(tenant: Tenant) -> None:
    """Ask at a terminal. Raises CommandFailed when the answer is no, and where there is nobody to ask."""
    if not sys.stdin.isatty():
        raise CommandFailed("not_confirmed", "All data of the tenant would be gone for good. Say --yes to delete it.")
    question = f"Delete {tenant.slug} ({show(TENANT, tenant.id)}) with all its data, for good?"
    if not typer.confirm(question, err=True):
        raise CommandFailed("not_confirmed", "Nothing was deleted.")


async def _all(features: Features) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: TenantId | None = None
    while True:
        async with features.database.control() as session:
            page = await features.directory.page(session, Keyset(_PAGE, after))
            found.extend(_shown(tenant) for tenant in page)
        if len(page) < _PAGE:
            return found
        after = page[-1].id


def _set_status(context: typer.Context, named: str, status: TenantStatus, *, as_json: bool) -> None:
    async def work(features: Features) -> dict[str, Any]:
        async with features.database.control() as session:
            tenant = await features.directory.read_named(session, named)
            return _shown(await features.directory.set_status(session, tenant.id, status))

    changed = administer(settings_of(context), work)
    if as_json:
        print_json(changed)
    else:
        print_fields({name: changed[name] for name in _COLUMNS})


def _shown(tenant: Tenant) -> dict[str, Any]:
    return TenantResponse.of(tenant).model_dump(mode="json", by_alias=True)
