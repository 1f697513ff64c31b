"""``tenantry config``: every setting with its type, the source of its value, and the value unless it is secret."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

import typer
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource, PydanticBaseSettingsSource

from gateway.cli.command_group import AS_JSON, invocation
from gateway.cli.errors import explain
from gateway.cli.output import print_error, print_json, print_rows
from gateway.cli.settings import read_settings
from gateway.settings import PREFIX, SECRET_FIELDS, Settings, Unreadable
from tenants.resources.project import PROJECT_FILE, declared_resources

app = typer.Typer()

_HIDDEN = "********"
_DEFAULT_ENV_FILE = Path(".env")


@dataclass(frozen=True, slots=True)
class Setting:
    """The current state of one setting. ``value`` never holds a secret."""

    name: str
    type: str
    source: str
    value: str | None
    description: str


@app.command()
def config(context: typer.Context, *, as_json: Annotated[bool, AS_JSON] = False) -> None:
    """List every setting with its source, secrets hidden. Exit 1 when one is missing or invalid."""
    env_file = invocation(context).env_file
    found = list_settings(env_file)
    error = _error(env_file)
    if as_json:
        report = None if error is None else explain(error)
        settings = [{field: getattr(each, field) for field in Setting.__slots__} for each in found]
        print_json({"valid": error is None, "problems": list(report.details) if report else [], "settings": settings})
    else:
        print_rows(("setting", "type", "source", "value"), ((s.name, s.type, s.source, s.value) for s in found))
        if error is not None and (report := explain(error)):
            print_error(report, as_json=False)
    if error is not None:
        raise typer.Exit(1)


def list_settings(env_file: Path | None) -> list[Setting]:
    """Every setting; the source of one that is required and not set is ``missing``."""
    given = _given(env_file)
    return [_setting(name, field, given) for name, field in Settings.model_fields.items()]


def _given(env_file: Path | None) -> dict[str, tuple[str, Any]]:
    """The settings that are set: name to source and value. The first source with a setting wins, as in ``Settings``."""
    environment = EnvSettingsSource(Settings)
    dotenv = DotEnvSettingsSource(Settings, env_file=env_file or _DEFAULT_ENV_FILE)
    sources = Settings.settings_customise_sources(
        Settings, _NoValues(Settings), environment, dotenv, _NoValues(Settings)
    )
    given: dict[str, tuple[str, Any]] = {}
    for source in sources:
        for name, value in source().items():
            given.setdefault(name.lower(), (_label(source, env_file), value))
    resources = declared_resources(Path.cwd())
    if resources is not None:
        given.setdefault("resources", (PROJECT_FILE, resources))
    return given


class _NoValues(PydanticBaseSettingsSource):
    """An empty source, in place of the arguments of ``Settings``."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, self.field_is_complex(field)

    def __call__(self) -> dict[str, Any]:
        return {}


def _label(source: PydanticBaseSettingsSource, env_file: Path | None) -> str:
    if isinstance(source, DotEnvSettingsSource):
        return str(env_file or _DEFAULT_ENV_FILE)
    return "environment" if isinstance(source, EnvSettingsSource) else "file"


def _setting(name: str, field: FieldInfo, given: dict[str, tuple[str, Any]]) -> Setting:
    if name in given:
        source, value = given[name]
    else:
        source, value = ("missing", None) if field.is_required() else ("default", field.default)
    return Setting(f"{PREFIX}{name.upper()}", _type(field), source, _value(name, value), field.description or "")


def _value(name: str, value: Any) -> str | None:
    if isinstance(value, Unreadable):
        return str(value)
    if value is None or name in SECRET_FIELDS or isinstance(value, SecretStr):
        return None if value is None else _HIDDEN
    if name.endswith("_url"):
        return _without_password(str(value))
    return ", ".join(value) if isinstance(value, list) else str(value)


def _without_password(url: str) -> str:
    try:
        password = urlsplit(url).password
    except ValueError:
        return _HIDDEN  # not a URL: it may be a secret
    return url.replace(f":{password}@", f":{_HIDDEN}@", 1) if password else url


def _type(field: FieldInfo) -> str:
    annotation = field.annotation
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return re.sub(r"\w+\.", "", str(annotation))


def _error(env_file: Path | None) -> ValidationError | None:
    try:
        read_settings(env_file)
    except ValidationError as error:
        return error
    return None
