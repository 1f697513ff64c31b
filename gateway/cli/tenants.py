"""``tenantry tenants``: the tenants of the deployment."""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any

import typer

from gateway.cli.command_group import AS_JSON
from gateway.cli.options import NAMED_TENANT
from gateway.cli.output import CommandFailed, print_fields, print_json, print_list, print_object, warn_unless_sent
from gateway.cli.pages import all_pages
from gateway.cli.settings import load_settings
from gateway.features import Features, administer
from tenants.audit.origin import COMMAND_LINE
from tenants.database.sessions import ControlSession
from tenants.directory.models import Tenant
from tenants.directory.schemas import ChangeStatus, ChangeTenant, TenantResponse
from tenants.identifiers import TENANT, TenantId, show
from tenants.invitations.models import Invitation
from tenants.members.schemas import MemberResponse
from tenants.onboarding.schemas import CreateTenant, TenantCreated

app = typer.Typer(help="Create, list, show, change, suspend, resume and delete tenants.", no_args_is_help=True)

_COLUMNS = ("id", "slug", "name", "status", "plan", "created_at")
_REASON = typer.Option(help="Why: for operators and the tenant's audit.")

_Change = Callable[[Features, ControlSession, TenantId], Awaitable[Tenant]]


@app.command()
def create(
    context: typer.Context,
    *,
    slug: Annotated[str, typer.Argument(help="Unique short name: lower-case letters, digits and hyphens.")],
    name: Annotated[str | None, typer.Option(help="Display name; by default the slug.")] = None,
    plan: Annotated[str, typer.Option(help="Code of the plan.")] = "free",
    owner: Annotated[
        str | None,
        typer.Option("--owner", "--owner-email", help="Address of the first owner, who is invited by e-mail."),
    ] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Create a tenant with its schema, its role and an admin key, whose secret cannot be shown again."""
    request = CreateTenant(slug=slug, name=name or slug, plan=plan, owner_email=owner)

    async def work(features: Features) -> tuple[dict[str, Any], Invitation | None]:
        async with features.database.control() as session:
            created = await features.onboarding.create(session, request, origin=COMMAND_LINE)
            body = TenantCreated.made(created.tenant, created.key.key, created.key.secret)
            return body.model_dump(mode="json", by_alias=True), created.invitation

    created, invitation = administer(load_settings(context), work)
    if as_json:
        print_json(created)
    else:
        key = created.pop("api_key")
        print_fields({**created, "api_key": key["secret"]})
    if invitation is not None:
        warn_unless_sent(invitation.sent_at)


@app.command("list")
def list_tenants(
    context: typer.Context,
    *,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """List all tenants, newest first."""
    print_list(administer(load_settings(context), _all), _COLUMNS, as_json=as_json)


@app.command("show")
def show_tenant(
    context: typer.Context, *, tenant: Annotated[str, NAMED_TENANT], as_json: Annotated[bool, AS_JSON] = False
) -> None:
    """Show a tenant, also why and since when it is suspended."""

    async def unchanged(features: Features, session: ControlSession, found: TenantId) -> Tenant:
        return await features.directory.read(session, found)

    _print(_changed(context, tenant, unchanged), as_json=as_json)


@app.command()
def set_plan(
    context: typer.Context,
    *,
    tenant: Annotated[str, NAMED_TENANT],
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="Code of the plan, from `tenantry plans list`.")],
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Move a tenant to another plan. Returns when every worker applies it."""
    request = ChangeTenant(plan=plan)

    async def change(features: Features, session: ControlSession, found: TenantId) -> Tenant:
        return await features.directory.change_plan(session, found, request.plan, origin=COMMAND_LINE)

    _print(_changed(context, tenant, change, ends_rights=True), as_json=as_json)


@app.command()
def set_owner(
    context: typer.Context,
    *,
    tenant: Annotated[str, NAMED_TENANT],
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="E-mail address of a person who has an account.")],
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Make a person an owner of a tenant, beside its other owners. Their other roles stay."""

    async def work(features: Features) -> dict[str, Any]:
        async with features.database.control() as session:
            found = await features.directory.read_named(session, tenant)
            member = await features.people.members.make_owner(session, found.id, email, origin=COMMAND_LINE)
            return MemberResponse.of(member).model_dump(mode="json")

    print_object(administer(load_settings(context), work), as_json=as_json)


@app.command()
def suspend(
    context: typer.Context,
    *,
    tenant: Annotated[str, NAMED_TENANT],
    reason: Annotated[str | None, _REASON] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Reject all requests of a tenant; its data is kept."""
    request = ChangeStatus(reason=reason)

    async def change(features: Features, session: ControlSession, found: TenantId) -> Tenant:
        return await features.directory.suspend(session, found, origin=replace(COMMAND_LINE, reason=request.reason))

    _print(_changed(context, tenant, change, ends_rights=True), as_json=as_json)


@app.command()
def resume(
    context: typer.Context,
    *,
    tenant: Annotated[str, NAMED_TENANT],
    reason: Annotated[str | None, _REASON] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Accept the requests of a suspended tenant again."""
    request = ChangeStatus(reason=reason)

    async def change(features: Features, session: ControlSession, found: TenantId) -> Tenant:
        return await features.directory.resume(session, found, origin=replace(COMMAND_LINE, reason=request.reason))

    _print(_changed(context, tenant, change), as_json=as_json)


@app.command()
def delete(
    context: typer.Context,
    *,
    tenant: Annotated[str, NAMED_TENANT],
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
    administer(load_settings(context), remove, ends_rights=True)
    deleted = {"id": show(TENANT, found.id), "slug": found.slug, "deleted": True}
    print_object(deleted, as_json=as_json)


def _confirm(tenant: Tenant) -> None:
    """Prompt at a terminal. Raises CommandFailed when the answer is no, and without a terminal."""
    if not sys.stdin.isatty():
        raise CommandFailed("not_confirmed", "This deletes all data of the tenant permanently. Confirm with --yes.")
    question = f"Delete {tenant.slug} ({show(TENANT, tenant.id)}) with all its data, permanently?"
    if not typer.confirm(question, err=True):
        raise CommandFailed("not_confirmed", "Nothing was deleted.")


async def _all(features: Features) -> list[dict[str, Any]]:
    return [_fields(tenant) for tenant in await all_pages(features.database, features.directory.page)]


def _changed(context: typer.Context, named: str, change: _Change, *, ends_rights: bool = False) -> dict[str, Any]:
    """The tenant of this slug or id after the change."""

    async def work(features: Features) -> dict[str, Any]:
        async with features.database.control() as session:
            tenant = await features.directory.read_named(session, named)
            return _fields(await change(features, session, tenant.id))

    return administer(load_settings(context), work, ends_rights=ends_rights)


def _print(tenant: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(tenant)
        return
    suspension = tenant.pop("suspension") or {"at": None, "reason": None}
    print_fields({**tenant, "suspended_at": suspension["at"], "suspension_reason": suspension["reason"]})


def _fields(tenant: Tenant) -> dict[str, Any]:
    return TenantResponse.of(tenant).model_dump(mode="json", by_alias=True)
