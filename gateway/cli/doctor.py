"""``tenantry doctor``: checks a deployment and says what to repair."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from gateway.cli.checks import Check, Verdict, examine
from gateway.cli.command_group import AS_JSON
from gateway.cli.output import errors_console, print_json, print_rows
from gateway.cli.settings import load_settings

app = typer.Typer()


@app.command()
def doctor(context: typer.Context, *, as_json: Annotated[bool, AS_JSON] = False) -> None:
    """Check settings, PostgreSQL, its roles and rights, the schemas, Redis. Exit 1 when something must be repaired."""
    settings = load_settings(context)
    with errors_console().status("checking"):
        found = list(_with_settings(examine(settings)))
    healthy = all(check.verdict is not Verdict.WRONG for check in found)
    if as_json:
        print_json({"healthy": healthy, "checks": [asdict(check) for check in found]})
    else:
        print_rows(("check", "verdict", "what"), ((check.name, check.verdict, check.what) for check in found))
    if not healthy:
        raise typer.Exit(1)


def _with_settings(others: Iterator[Check]) -> Iterator[Check]:
    yield Check("settings", Verdict.GOOD, "complete")  # otherwise loading them had failed
    yield from others
