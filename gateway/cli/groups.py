"""How commands are found, and how one that fails says so.

Each command's module is imported when it is called for, and not before: `tenantry keys list` needs no web server, and
`tenantry dev` starts its database while it still imports the rest.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

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


@contextmanager
def _usage_told(arguments: Sequence[str]) -> Iterator[None]:
    """Where the arguments ask for JSON, a usage that is wrong is an object too. Else Typer shows it with the usage.

    They are looked at as they were typed: to read them as options is what has failed.
    """
    as_json = "--json" in arguments
    try:
        yield
    except TyperException as error:
        if not as_json:
            raise
        faults = import_module("gateway.cli.faults")
        faults.show_fault(faults.Fault("usage_invalid", error.format_message()), as_json=True)
        raise typer.Exit(error.exit_code) from error


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

    def make_context(self, info_name: str | None, args: list[str], *others: Any, **extra: Any) -> Any:
        with _usage_told(args):
            return super().make_context(info_name, args, *others, **extra)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _usage_told(ctx.args):
                return super().invoke(ctx)
        except Exception as error:
            faults = import_module("gateway.cli.faults")  # it knows the errors of every floor, which takes its time
            fault = faults.fault_of(error)
            if fault is None:
                raise
            faults.show_fault(fault, as_json=isinstance(ctx.obj, Invocation) and ctx.obj.as_json)
            raise typer.Exit(1) from error
