"""The settings of a command: from the environment, a file, and the project's pyproject.toml."""

from pathlib import Path

import typer

from gateway.cli.command_group import invocation
from gateway.settings import Settings
from tenants.resources.project import declared_resources


def load_settings(context: typer.Context) -> Settings:
    """The settings from the environment, and from the file in ``--env-file`` (by default ``.env``).

    Raises pydantic.ValidationError when a setting is missing or invalid, DeclarationError when pyproject.toml is.
    """
    return read_settings(invocation(context).env_file)


def read_settings(env_file: Path | None) -> Settings:
    """As ``load_settings``. ``resources`` that nothing else sets come from ``[tool.tenantry]`` in pyproject.toml."""
    settings = Settings(_env_file=env_file) if env_file else Settings()
    if settings.resources is not None:
        return settings
    return settings.model_copy(update={"resources": declared_resources(Path.cwd())})
