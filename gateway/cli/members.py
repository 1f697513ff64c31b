"""``tenantry members``: the people in tenants."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import typer

from gateway.cli.command_group import AS_JSON
from gateway.cli.options import NAMED_TENANT
from gateway.cli.output import print_list, print_object, warn_unless_sent
from gateway.cli.pages import all_pages
from gateway.cli.settings import load_settings
from gateway.features import Features, administer
from tenants.audit.origin import COMMAND_LINE
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.identifiers import USER, TenantId, show
from tenants.invitations.schemas import CreateInvitation, InvitationResponse
from tenants.members.repository import Member
from tenants.members.schemas import ChangeMember, MemberResponse

app = typer.Typer(
    help="List, invite and remove the members of a tenant, set their roles, reset their second factors.",
    no_args_is_help=True,
)

_COLUMNS = ("id", "email", "name", "roles", "disabled", "account_disabled", "created_at")
_Work = Callable[[Features, ControlSession, Member], Awaitable[dict[str, Any]]]

_MEMBER = typer.Argument(metavar="MEMBER", help="E-mail address or id (usr_…).")


@app.command("list")
def list_members(
    context: typer.Context, *, tenant: Annotated[str, NAMED_TENANT], as_json: Annotated[bool, AS_JSON] = False
) -> None:
    """List the members of a tenant, those with the newest account first."""

    async def work(features: Features) -> list[dict[str, Any]]:
        async with features.database.control() as session:
            found = await features.directory.read_named(session, tenant)
        return await _all(features, found.id)

    print_list(administer(load_settings(context), work), _COLUMNS, as_json=as_json)


@app.command()
def invite(
    context: typer.Context,
    *,
    tenant: Annotated[str, NAMED_TENANT],
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="Address of the person.")],
    role: Annotated[str, typer.Option(help="Role of the person, built in or the tenant's own.")],
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Invite a person by e-mail. A pending invitation of this address with the same role is sent again."""
    requested = CreateInvitation(email=email, role=role)

    async def work(features: Features) -> dict[str, Any]:
        async with features.database.control() as session:
            owner = await features.directory.read_named(session, tenant)
            return await _invited(features, session, owner.id, requested)

    invited = administer(load_settings(context), work)
    print_object(invited, as_json=as_json)
    warn_unless_sent(invited["sent_at"])


@app.command()
def remove(
    context: typer.Context,
    *,
    tenant: Annotated[str, NAMED_TENANT],
    member: Annotated[str, _MEMBER],
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Remove a person from a tenant and end their sessions and API keys there. The last owner cannot be removed."""

    async def work(features: Features, session: ControlSession, found: Member) -> dict[str, Any]:
        removed = {"id": show(USER, found.id), "email": found.user.email, "removed": True}
        await features.people.members.remove(session, found.tenant.id, None, found.id, origin=COMMAND_LINE)
        return removed

    _with_member(context, tenant, member, work, as_json=as_json)


@app.command()
def set_roles(
    context: typer.Context,
    *,
    tenant: Annotated[str, NAMED_TENANT],
    member: Annotated[str, _MEMBER],
    role: Annotated[
        list[str], typer.Option(help="A role of the member, built in or the tenant's own; can be repeated.")
    ],
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Replace the roles of a member, who has to sign in again. The last owner cannot be demoted."""
    request = ChangeMember(roles=role)

    async def work(features: Features, session: ControlSession, found: Member) -> dict[str, Any]:
        members, tenant_id = features.people.members, found.tenant.id
        return _fields(await members.set_roles(session, tenant_id, None, found.id, request.roles, origin=COMMAND_LINE))

    _with_member(context, tenant, member, work, as_json=as_json)


@app.command()
def reset_mfa(
    context: typer.Context,
    *,
    tenant: Annotated[str, NAMED_TENANT],
    member: Annotated[str, _MEMBER],
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Remove all second factors of a member who has lost them, in every tenant, and end their sessions."""

    async def work(features: Features, session: ControlSession, found: Member) -> dict[str, Any]:
        factors = features.people.mfa.tenant
        await factors.reset(session, found.tenant.id, None, None, found.id, origin=COMMAND_LINE)
        return {"id": show(USER, found.id), "email": found.user.email, "mfa_reset": True}

    _with_member(context, tenant, member, work, as_json=as_json)


def _with_member(context: typer.Context, tenant: str, member: str, work: _Work, *, as_json: bool) -> None:
    """Do the work on the named member in one transaction, and print its result when every worker applies it."""

    async def run(features: Features) -> dict[str, Any]:
        async with features.database.control() as session:
            owner = await features.directory.read_named(session, tenant)
            return await work(features, session, await features.people.members.read_named(session, owner.id, member))

    print_object(administer(load_settings(context), run, ends_rights=True), as_json=as_json)


async def _invited(
    features: Features, session: ControlSession, tenant: TenantId, requested: CreateInvitation
) -> dict[str, Any]:
    invitations = features.people.invitations
    pending = await invitations.find_pending(session, tenant, requested.email)
    if pending is not None and pending.role == requested.role:
        made = await invitations.resend(session, tenant, None, pending.id, origin=COMMAND_LINE)
    else:
        made = await invitations.invite(session, tenant, None, requested, origin=COMMAND_LINE)
    return InvitationResponse.of(made).model_dump(mode="json")


async def _all(features: Features, tenant: TenantId) -> list[dict[str, Any]]:
    async def page(session: ControlSession, keyset: Keyset) -> Sequence[Member]:
        return await features.people.members.page(session, tenant, keyset)

    return [_fields(member) for member in await all_pages(features.database, page)]


def _fields(member: Member) -> dict[str, Any]:
    return MemberResponse.of(member).model_dump(mode="json")
