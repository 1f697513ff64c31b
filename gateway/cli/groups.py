"""How commands are found, and how one that fails says so.

Each command's module is imported when it is called for, and not before: `tenantry keys list` needs no web server, and
`tenantry dev` starts its database while it still imports the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS: Mapping[str, str] = {
    "dev": "gateway.cli.dev",
    "serve": "gateway.cli.serve",
    "worker": "gateway.cli.worker",
    "migrate": "gateway.cli.migrate",
    "doctor": "gateway.cli.doctor",
    "config": "gateway.cli.config",
    "tenants": "gateway.cli.tenants",
    "keys": "gateway.cli.keys",
    "operator-keys": "gateway.cli.operator_keys",
    "resources": "gateway.cli.resources",
    "plans": "gateway.cli.plans",
    "benchmark": "gateway.cli.benchmark",
}


@dataclass(slots=True)
class Invocation:
    """What the whole command line says, as opposed to one command's options."""

    env_file: Path | None = None
    as_json: bool = False


def invocation(context: typer.Context) -> Invocation:
    """What was said before the command. Raises TypeError outside of ``tenantry``."""
    found = context.find_root().obj
    if not isinstance(found, Invocation):
        raise TypeError("this command is not run by `tenantry`")
    return found


def _remember(context: typer.Context, as_json: bool) -> bool:  # noqa: FBT001 - typer calls it with the option's value
    invocation(context).as_json = as_json
    return as_json


AS_JSON = typer.Option("--json", callback=_remember, help="Print one JSON object and nothing else.")


class CommandGroup(TyperGroup):
    """Imports a command by its name; turns errors that can be expected into a sentence and exit code 1."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        command = typer.main.get_command(import_module(COMMANDS[cmd_name]).app)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            faults = import_module("gateway.cli.faults")  # it knows the errors of every floor, which takes its time
            fault = faults.fault_of(error)
            if fault is None:
                raise
            faults.show_fault(fault, as_json=isinstance(ctx.obj, Invocation) and ctx.obj.as_json)
            raise typer.Exit(1) from error
