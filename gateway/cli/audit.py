"""``tenantry audit``: checks the audit logs of tenants, and that of the operators."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from joserfc.jwk import OKPKey

from gateway.cli.command_group import AS_JSON
from gateway.cli.output import CommandFailed, print_fields, print_json, print_rows, progress_bar
from gateway.cli.pages import all_pages
from gateway.cli.settings import load_settings
from gateway.features import Features, administer
from tenants.audit.checkpoints import Chain, Checkpoints, FindKey, read_checkpoints
from tenants.audit.operators import OperatorVerdict
from tenants.audit.verification import Verdict, Verification
from tenants.directory.models import Tenant
from tenants.directory.reference import tenant_reference
from tenants.identifiers import EVENT, TENANT, show
from tenants.sign_in.signing_keys import load_earlier_keys

app = typer.Typer(help="Check the audit logs of tenants, and that of the operators.", no_args_is_help=True)

_COLUMNS = ("tenant", "events", "unchained", "signed up to", "result")


@app.callback()
def audit() -> None:
    """Check the audit logs of tenants, and that of the operators."""


@app.command()
def verify(
    context: typer.Context,
    *,
    tenant: Annotated[str | None, typer.Argument(metavar="[TENANT]", help="Slug or id (tnt_…).")] = None,
    all_tenants: Annotated[bool, typer.Option("--all", help="Check every tenant and the operators.")] = False,
    operators: Annotated[bool, typer.Option("--operators", help="Check the operators' log alone.")] = False,
    checkpoints: Annotated[
        Path | None,
        typer.Option(exists=True, help="Folder or file of signed checkpoints; by default TENANTRY_AUDIT_CHECKPOINTS."),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="JWK Set of earlier signing keys; public parts suffice."),
    ] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Compute the chain of a tenant's audit log again, and compare it with the signed checkpoints.

    Finds edits, deletions, swaps and truncations, also of a log whose hashes were computed again. Exit 1 unless all is
    well. Events of the last second are not chained yet; they are counted, and are no fault.
    """
    if [tenant is not None, all_tenants, operators].count(True) != 1:
        raise CommandFailed("usage_invalid", "Name one tenant, or use --all or --operators.")
    settings = load_settings(context)
    path, earlier = checkpoints or settings.audit_checkpoints, _earlier(keys)

    async def work(features: Features) -> dict[str, Any]:
        found = [] if operators else await _tenants(features, tenant)
        chosen: set[Chain] | None = {None} if operators else {each.id for each in found}
        known = features.tokens.keys
        signed = _read(path, None if all_tenants else chosen, lambda kid: known.find(kid) or earlier.get(kid))
        own = await features.operator_log.verify(signed.ends.get(None, [])) if tenant is None else None
        return _result(await _verified(features, found, signed), own, signed, path)

    result = administer(settings, work)
    _show(result, as_json=as_json)
    if not result["good"]:
        raise typer.Exit(1)


async def _tenants(features: Features, named: str | None) -> list[Tenant]:
    if named is None:
        return await all_pages(features.database, features.directory.page)
    async with features.database.control() as session:
        return [await features.directory.read_named(session, named)]


def _earlier(keys: Path | None) -> dict[str, OKPKey]:
    try:
        return {} if keys is None else load_earlier_keys(keys.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CommandFailed("validation_failed", f"{keys}: {error}") from error


def _read(path: Path | None, chains: set[Chain] | None, find_key: FindKey) -> Checkpoints:
    if path is None or not path.exists():
        return Checkpoints()
    return read_checkpoints(path, chains, find_key)


async def _verified(features: Features, tenants: list[Tenant], signed: Checkpoints) -> list[Verdict]:
    verification, verdicts = Verification(features.database), []
    with progress_bar() as bar:
        done = bar.add_task("tenants", total=len(tenants))
        events = bar.add_task("events", total=None)
        for tenant in tenants:
            ends = signed.ends.get(tenant.id, [])
            verdict = await verification.run(tenant_reference(tenant), ends, partial(bar.advance, events))
            verdicts.append(verdict)
            bar.advance(done)
    return verdicts


def _result(
    verdicts: list[Verdict], operators: OperatorVerdict | None, signed: Checkpoints, path: Path | None
) -> dict[str, Any]:
    good = all(verdict.good for verdict in verdicts) and (operators is None or operators.good)
    return {
        "good": good and not signed.forged,
        "checkpoints": {
            "read_from": None if path is None else str(path),
            "read": sum(map(len, signed.ends.values())),
            "forged": signed.forged,
            "unknown_keys": sorted(signed.unknown),
            "damaged_lines": signed.damaged,
        },
        "tenants": [_tenant(verdict) for verdict in verdicts],
        "operators": None if operators is None else {"good": operators.good, **_found(operators)},
    }


def _tenant(verdict: Verdict) -> dict[str, Any]:
    return {
        "id": show(TENANT, verdict.tenant.id),
        "slug": verdict.tenant.slug,
        "good": verdict.good,
        "unchained": verdict.unchained,
        "oldest_unchained": verdict.oldest_unchained,
        **_found(verdict),
    }


def _found(verdict: Verdict | OperatorVerdict) -> dict[str, Any]:
    return {
        "events": verdict.events,
        "signed_up_to": None if verdict.signed is None else verdict.signed.sequence,
        "signed_at": None if verdict.signed is None else verdict.signed.signed_at,
        "faults": [{**asdict(fault), "event": _event(fault.event)} for fault in verdict.faults.named],
        "fault_count": verdict.faults.count,
    }


def _event(text: str | None) -> str | None:
    return None if text is None else show(EVENT, UUID(text))


def _show(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    tenants = [*result["tenants"]]
    if result["operators"] is not None:
        tenants.append({"slug": "(operators)", "unchained": 0, **result["operators"]})
    print_rows(_COLUMNS, ([*_cells(each)] for each in tenants))
    faults = [(each["slug"], fault) for each in tenants for fault in each["faults"]]
    if faults:
        rows = ((slug, fault["kind"], fault["sequence"], fault["event"], fault["message"]) for slug, fault in faults)
        print_rows(("tenant", "fault", "sequence", "event", "what"), rows)
    for place in result["checkpoints"]["forged"]:
        print_fields({"forged checkpoint": place})
    if result["checkpoints"]["unknown_keys"]:
        print_fields({"checkpoints of unknown keys": result["checkpoints"]["unknown_keys"]})
    if result["checkpoints"]["read_from"] is None:
        print_fields({"checkpoints": "none given: a log whose hashes were all computed again would pass"})


def _cells(tenant: dict[str, Any]) -> tuple[object, ...]:
    found = "good" if tenant["good"] else f"{tenant['fault_count']} faults"
    return tenant["slug"], tenant["events"], tenant["unchained"], tenant["signed_up_to"], found
