"""The settings of a command."""

from pathlib import Path

import typer

from gateway.cli.groups import invocation
from gateway.settings import Settings


def settings_of(context: typer.Context) -> Settings:
    """The settings from the environment, and from the file that the command line names (else ``.env``)."""
    return load_settings(invocation(context).env_file)


def load_settings(env_file: Path | None) -> Settings:
    """Raises pydantic.ValidationError when a setting is missing or wrong."""
    return Settings(_env_file=env_file) if env_file else Settings()
