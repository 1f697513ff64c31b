"""``tenantry``: what it is told before the name of a command, and where each command is."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.groups import CommandGroup, Invocation

app = typer.Typer(
    cls=CommandGroup,
    name="tenantry",
    help="The door, the keys and the rooms of a SaaS.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if wanted:
        typer.echo(f"tenantry {version('tenantry')}")
        raise typer.Exit


@app.callback()
def tenantry(
    context: typer.Context,
    *,
    env_file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="File of TENANTRY_… settings; the environment goes before it."),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The door, the keys and the rooms of a SaaS."""
    context.obj = Invocation(env_file)
