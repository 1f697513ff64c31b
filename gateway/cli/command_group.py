"""The commands of ``tenantry``: imported when they are called, with errors reported in one form.

`tenantry keys list` needs no web server, and `tenantry dev` starts its database while it imports the rest.
"""

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import structlog
import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from gateway.cli.output import ErrorReport, print_error

COMMANDS: Mapping[str, str] = {
    "new": "gateway.cli.new",
    "dev": "gateway.cli.dev",
    "serve": "gateway.cli.serve",
    "worker": "gateway.cli.worker",
    "migrate": "gateway.cli.migrate",
    "doctor": "gateway.cli.doctor",
    "config": "gateway.cli.config",
    "tenants": "gateway.cli.tenants",
    "keys": "gateway.cli.keys",
    "members": "gateway.cli.members",
    "audit": "gateway.cli.audit",
    "operator-keys": "gateway.cli.operator_keys",
    "resources": "gateway.cli.resources",
    "plans": "gateway.cli.plans",
    "routes": "gateway.cli.routes",
    "upstreams": "gateway.cli.upstreams",
    "benchmark": "gateway.cli.benchmark",
}
_ROOT = Path(__file__).resolve().parents[2]  # the folder that holds Tenantry's packages
_PACKAGES = ("billing", "migrations", "tenantry", "tenants")  # those that nothing above imports, to check before use


@dataclass(slots=True)
class Invocation:
    """Options of the whole command line, as opposed to those of one command."""

    env_file: Path | None = None
    as_json: bool = False


def invocation(context: typer.Context) -> Invocation:
    """The options before the command's name. Raises TypeError outside of ``tenantry``."""
    found = context.find_root().obj
    if not isinstance(found, Invocation):
        raise TypeError("this command is not run by `tenantry`")
    return found


def _remember(context: typer.Context, as_json: bool) -> bool:  # noqa: FBT001 - typer calls it with the option's value
    invocation(context).as_json = as_json
    return as_json


AS_JSON = typer.Option("--json", callback=_remember, help="Print one JSON object and nothing else.")


class CommandGroup(TyperGroup):
    """Imports a command by its name. Turns expected errors into a message and exit code 1."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        with _without_collections():
            module = import_module(COMMANDS[cmd_name])
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def make_context(self, info_name: str | None, args: list[str], *others: Any, **extra: Any) -> Any:
        _check_packages(as_json="--json" in args)
        with _usage_errors(args):
            return super().make_context(info_name, args, *others, **extra)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _usage_errors(ctx.args), _log_to_standard_error():
                return super().invoke(ctx)
        except Exception as error:
            errors = import_module("gateway.cli.errors")  # it imports the errors of every layer, which is slow
            report = errors.explain(error)
            if report is None:
                raise
            print_error(report, as_json=isinstance(ctx.obj, Invocation) and ctx.obj.as_json)
            raise typer.Exit(1) from error


@contextmanager
def _without_collections() -> Iterator[None]:
    """Collections while a command imports find nothing to free and take 15 % of its start."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _log_to_standard_error() -> Iterator[None]:
    """Standard output is the command's result. A command that serves configures logging by its settings."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        yield
    finally:
        structlog.reset_defaults()


@contextmanager
def _usage_errors(arguments: Sequence[str]) -> Iterator[None]:
    """With --json, print a usage error as an object; otherwise Typer prints it with the usage.

    --json is searched for in the raw arguments, because parsing them is what has failed.
    """
    as_json = "--json" in arguments
    try:
        yield
    except TyperException as error:
        if not as_json:
            raise
        print_error(ErrorReport("usage_invalid", error.format_message()), as_json=True)
        raise typer.Exit(error.exit_code) from error


def _check_packages(*, as_json: bool) -> None:
    """Exit with a message when another package is imported in place of one of Tenantry's.

    PYTHONPATH comes before the installed packages.
    """
    for name in _PACKAGES:
        spec = find_spec(name)
        folder = Path(spec.origin).resolve().parent if spec and spec.origin else None
        if folder == _ROOT / name:
            continue
        found = f"{folder} is imported in its place" if folder else "it was not found"
        message = f"Tenantry's package {name!r} cannot be imported: {found}. Rename that package, or change PYTHONPATH."
        print_error(ErrorReport("package_hidden", message), as_json=as_json)
        raise typer.Exit(1)
