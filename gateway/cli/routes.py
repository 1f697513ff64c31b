"""``tenantry routes``: what leads to the SaaS team's own services, declared in a file."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from gateway.cli.command_group import AS_JSON
from gateway.cli.output import CommandFailed, print_json, print_list
from gateway.cli.settings import load_settings
from gateway.features import Features, administer
from tenants.audit.origin import COMMAND_LINE
from tenants.errors import ValidationFailed
from tenants.identifiers import OPERATOR_KEY, show
from tenants.routes.diff import Change, complete_form, differences
from tenants.routes.purges import PurgeSpec
from tenants.routes.schemas import Configuration, RouteSpec
from tenants.routes.service import Applied, Version, VersionSummary
from tenants.routes.toml import FileInvalid, RoutesFile, write_toml
from tenants.values.shown import escaped

app = typer.Typer(help="Declare routes to your own services.", no_args_is_help=True)

DIFFERENT = 3  # exit code of diff; 1 is an error, 2 a wrong usage
_COLUMNS = ("name", "hosts", "path", "methods", "access", "upstream")
_VERSION_COLUMNS = ("number", "created_at", "by", "restored", "changes")
_SHOWN_CHANGES = 3  # of a version in the list as text

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="TOML file of all upstreams and routes.")]


@app.command()
def apply(
    context: typer.Context,
    file: File,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and compare; change nothing.")] = False,
    if_version: Annotated[
        int | None, typer.Option(min=1, help="Only if this version is in force, so that no other change is lost.")
    ] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Put the upstreams and routes of a file in force, and remove all others.

    Nothing changes when anything in the file is invalid. Returns when every worker uses the new version.
    """
    source, configuration = _read(file)

    async def work(features: Features) -> Applied:
        async with features.database.control() as session:
            if dry_run:
                await features.routes.check(session, configuration)
                return _compared(await features.routes.current(session), configuration)
            expected = None if if_version is None else (if_version,)
            return await features.routes.apply(session, configuration, expected, origin=COMMAND_LINE)

    try:
        applied = administer(load_settings(context), work, ends_rights=not dry_run)
    except ValidationFailed as error:
        raise _invalid(file, source.refused(error)) from error
    _print_changes(applied, as_json=as_json)


@app.command()
def diff(context: typer.Context, file: File, *, as_json: Annotated[bool, AS_JSON] = False) -> None:
    """Compare a file with what is in force. Exit 0 without a difference, 3 with one, 1 for an error.

    An invalid file is an error.
    """
    source, configuration = _read(file)

    async def work(features: Features) -> Applied:
        async with features.database.control() as session:
            await features.routes.check(session, configuration)
            return _compared(await features.routes.current(session), configuration)

    try:
        compared = administer(load_settings(context), work)
    except ValidationFailed as error:
        raise _invalid(file, source.refused(error)) from error
    _print_changes(compared, as_json=as_json)
    if compared.changes:
        raise typer.Exit(DIFFERENT)


@app.command()
def export(context: typer.Context, *, as_json: Annotated[bool, AS_JSON] = False) -> None:
    """Print what is in force as a file for `tenantry routes apply`. Comments of an earlier file are not kept."""
    version = administer(load_settings(context), _current)
    if as_json:
        print_json(complete_form(version.configuration))
    else:
        sys.stdout.write(write_toml(version.configuration))


@app.command("list")
def list_routes(context: typer.Context, *, as_json: Annotated[bool, AS_JSON] = False) -> None:
    """List the routes in force."""
    version = administer(load_settings(context), _current)
    routes = version.configuration.routes
    print_list([complete_form(each) if as_json else _row(each) for each in routes], _COLUMNS, as_json=as_json)


@app.command()
def versions(context: typer.Context, *, as_json: Annotated[bool, AS_JSON] = False) -> None:
    """List the version in force and the last ten before it, the newest first."""

    async def work(features: Features) -> list[VersionSummary]:
        async with features.database.control() as session:
            return await features.routes.versions(session)

    found = administer(load_settings(context), work)
    print_list([_version(each, whole=as_json) for each in found], _VERSION_COLUMNS, as_json=as_json)


@app.command()
def rollback(
    context: typer.Context,
    number: Annotated[int, typer.Argument(min=1, max=2**31 - 1, help="Number, from `tenantry routes versions`.")],
    *,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Put an earlier version in force again, as a new version. Returns when every worker uses it."""

    async def work(features: Features) -> Applied:
        async with features.database.control() as session:
            return await features.routes.rollback(session, number, origin=COMMAND_LINE)

    _print_changes(administer(load_settings(context), work, ends_rights=True), as_json=as_json)


@app.command()
def purge(
    context: typer.Context,
    *,
    route: Annotated[str | None, typer.Option(help="Answers of this route alone.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Answers for this tenant alone: its slug or its id.")] = None,
    path: Annotated[str | None, typer.Option(help="Answers for this path alone, decoded.")] = None,
    path_prefix: Annotated[str | None, typer.Option(help="Answers for this path and all below it.")] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Let every worker forget stored answers. Returns when no worker uses them any more."""
    try:
        spec = PurgeSpec(route=route, tenant=tenant, path=path, path_prefix=path_prefix)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, each['loc'])) or 'options'}: {each['msg']}" for each in error.errors()]
        raise CommandFailed("validation_failed", "Nothing is purged.", *faults) from error

    async def work(features: Features) -> None:
        async with features.database.control() as session:
            await features.cache_purges.purge(session, spec, origin=COMMAND_LINE)

    administer(load_settings(context), work, ends_rights=True)
    if as_json:
        print_json({"purged": spec.model_dump(exclude_none=True)})
    else:
        sys.stdout.write("purged on every worker\n")


async def _current(features: Features) -> Version:
    async with features.database.control() as session:
        return await features.routes.current(session)


def _read(file: Path) -> tuple[RoutesFile, Configuration]:
    try:
        source = RoutesFile(file.read_text(encoding="utf-8"))
        return source, source.configuration()
    except UnicodeDecodeError as error:
        raise CommandFailed("validation_failed", f"{file} is not UTF-8.") from error
    except FileInvalid as error:
        raise _invalid(file, error) from error


def _invalid(file: Path, error: FileInvalid) -> CommandFailed:
    return CommandFailed("validation_failed", f"{file} is invalid. Nothing has changed.", *error.faults)


def _compared(version: Version, configuration: Configuration) -> Applied:
    return Applied(version, differences(version.configuration, configuration))


def _print_changes(applied: Applied, *, as_json: bool) -> None:
    if as_json:
        changes = [asdict(each) for each in applied.changes]
        print_json({"version": applied.version.number, "equal": not changes, "changes": changes})
        return
    for change in applied.changes:
        sys.stdout.write(f"{change}\n")
        sys.stdout.writelines(_members(change))
    equal = "" if applied.changes else ", nothing differs"
    sys.stdout.write(f"version {applied.version.number}{equal}\n")


def _members(change: Change) -> Sequence[str]:
    """The members that an update changes, one a line."""
    if change.before is None or change.after is None:
        return ()
    return [
        f"  {name}: {escaped(str(change.before[name]))} -> {escaped(str(change.after[name]))}\n"
        for name in change.before
    ]


def _row(route: RouteSpec) -> dict[str, Any]:
    required = dict.fromkeys((route.permission, *route.permissions.values()))
    access = ", ".join(filter(None, required)) or route.access.value
    path = f"{route.path.rstrip('/')}/*" if route.match == "prefix" else route.path
    shown = {"hosts": list(route.hosts) or "any", "methods": list(route.methods) or "any", "path": path}
    return {"name": route.name, "access": access, "upstream": route.upstream} | shown


def _version(version: VersionSummary, *, whole: bool) -> dict[str, Any]:
    """``whole`` without the changes cut."""
    by = version.actor_kind if version.actor_id is None else show(OPERATOR_KEY, version.actor_id)
    more = len(version.changes) - _SHOWN_CHANGES
    changes = [*version.changes[:_SHOWN_CHANGES], f"{more} more"] if more > 0 and not whole else version.changes
    times = {"number": version.number, "created_at": version.created_at, "by": by, "restored": version.restored}
    return times | {"changes": list(changes)}
