"""``tenantry``: the command line, with the options that come before the name of a command."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.command_group import CommandGroup, Invocation

_HELP = "A multi-tenant API-key gateway for SaaS."

app = typer.Typer(
    cls=CommandGroup,
    name="tenantry",
    help=_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(requested: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if requested:
        typer.echo(f"tenantry {version('tenantry')}")
        raise typer.Exit


@app.callback(help=_HELP)
def tenantry(
    context: typer.Context,
    *,
    env_file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="File with TENANTRY_… settings; the environment overrides it."),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Store the options for the command."""
    context.obj = Invocation(env_file)
