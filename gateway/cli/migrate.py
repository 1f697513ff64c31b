"""``tenantry migrate``: roles and database if allowed, then the control schema, then every tenant's schema."""

from typing import Annotated, Any

import typer
from rich.progress import Progress as Bar
from sqlalchemy.engine import make_url

from gateway.cli.command_group import AS_JSON
from gateway.cli.output import CommandFailed, print_fields, print_json, print_rows, progress_bar
from gateway.cli.settings import load_settings
from gateway.settings import Settings
from migrations.fleet import Outcome
from migrations.locks import LOCK_WAIT, LockWait
from migrations.runner import FleetReport, Progress, migrate_control, migrate_tenants
from migrations.servable import Release
from tenants.database.cluster import set_up_cluster
from tenants.database.names import GATEWAY_ROLE, OWNER_ROLE
from tenants.resources.registry import load_registry

app = typer.Typer()


@app.command()
def migrate(
    context: typer.Context,
    *,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Tenants migrated at the same time.")] = 4,
    canaries: Annotated[
        int, typer.Option(min=0, help="Tenants migrated first; if all of them fail, the others are skipped.")
    ] = 3,
    lock_wait: Annotated[
        float, typer.Option(min=0.1, help="Seconds of pauses between attempts at a tenant whose tables are locked.")
    ] = LOCK_WAIT,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Migrate the control schema and every tenant's schema. Safe to run again.

    A tenant whose migration fails keeps its schema and is listed at the end, with the sessions that locked it and
    whether this version serves it as it is; the next run retries it.
    """
    settings = load_settings(context)
    owner_url = _owner_url(settings)
    registry, wait = load_registry(settings.resources), LockWait(total=lock_wait)
    release = Release.of(registry)
    with progress_bar() as bar:
        if settings.admin_database_url is not None:
            bar.add_task("roles and database", total=1, completed=_set_up(settings, owner_url))
        control = bar.add_task("control schema", total=1)
        migrate_control(owner_url, wait)
        bar.advance(control)
        report = migrate_tenants(
            owner_url, registry.migrations, jobs=jobs, canaries=canaries, wait=wait, on_progress=_Tenants(bar).show
        )
    _show(report, release, as_json=as_json)
    if not report.complete:
        raise typer.Exit(1)


def _owner_url(settings: Settings) -> str:
    if settings.owner_database_url is None:
        raise CommandFailed(
            "settings_invalid",
            "TENANTRY_OWNER_DATABASE_URL is missing. It is the URL of the role that owns the schemas.",
        )
    return str(settings.owner_database_url)


def _set_up(settings: Settings, owner_url: str) -> int:
    gateway, owner = make_url(str(settings.database_url)), make_url(owner_url)
    if (gateway.username, owner.username) != (GATEWAY_ROLE, OWNER_ROLE) or not gateway.database:
        raise CommandFailed(
            "settings_invalid",
            "With TENANTRY_ADMIN_DATABASE_URL set, TENANTRY_DATABASE_URL must name a database and the role "
            f"{GATEWAY_ROLE}, and TENANTRY_OWNER_DATABASE_URL the role {OWNER_ROLE}.",
        )
    set_up_cluster(
        str(settings.admin_database_url),
        gateway.database,
        owner_password=owner.password or "",
        gateway_password=gateway.password or "",
    )
    return 1


class _Tenants:
    """The progress bar of the tenants. Its total is known with the first completed tenant."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._task = bar.add_task("tenants", total=None)

    def show(self, progress: Progress) -> None:
        self._bar.update(self._task, completed=progress.done, total=progress.total)
        if progress.outcome.error is not None:
            self._bar.console.print(f"{progress.outcome.tenant.slug}: {progress.outcome.error}", markup=False)


def _show(report: FleetReport, release: Release, *, as_json: bool) -> None:
    result: dict[str, Any] = {
        "complete": report.complete,
        "revisions": list(report.revisions),
        "migrated": report.migrated,
        "failed": [_failed(outcome, release) for outcome in report.failed],
        "skipped": report.skipped,
    }
    if as_json:
        print_json(result)
        return
    print_fields({**result, "failed": len(report.failed)})
    if report.failed:
        print_rows(("tenant", "now", "error"), (_row(each) for each in result["failed"]))
    for outcome in report.failed:
        for holder in outcome.holders:
            print_fields({outcome.tenant.slug: holder})


def _failed(outcome: Outcome, release: Release) -> dict[str, Any]:
    tenant = outcome.tenant
    return {
        "tenant": tenant.slug,
        "error": outcome.error,
        "revisions": list(tenant.revisions),
        "served": release.serves(tenant.revisions, tenant.columns),
        "blocked_by": [holder.as_json() for holder in outcome.holders],
    }


def _row(failed: dict[str, Any]) -> tuple[str, str, str]:
    return failed["tenant"], "served" if failed["served"] else "answers 503", failed["error"].partition("\n")[0]
