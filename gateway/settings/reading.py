"""The only reader of the environment: ``TENANTRY_…`` variables, ``TENANTRY_…_FILE``, and a ``.env``."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "TENANTRY_"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """In place of the value of a file that cannot be read, until validation reports it under the setting's name."""

    reason: str

    def __str__(self) -> str:
        return "unreadable"


class _FileSource(PydanticBaseSettingsSource):
    """Reads ``TENANTRY_NAME_FILE`` as the path of a file that holds the value, as container secrets are given."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        return _content(path) if path else None, field_name, self.field_is_complex(field)

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            value, key, _ = self.get_field_value(field, name)
            if value:  # an empty file is a missing value, as an empty variable is
                found[key] = value
        return found


def _content(path: str) -> str | Unreadable:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        return Unreadable(f"{path} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        return Unreadable(f"{path} cannot be read: it is not UTF-8")


class EnvironmentSettings(BaseSettings):
    """Where values come from, and in which order; the fields are those of the groups."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,  # an empty secret is a missing one
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # a wrong database URL still holds its password (SE2)
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then files that it names, then ``.env``."""
        return init_settings, env_settings, _FileSource(settings_cls), dotenv_settings, file_secret_settings

    @field_validator("*", mode="before")
    @classmethod
    def _readable(cls, value: object) -> object:
        if isinstance(value, Unreadable):
            raise ValueError(value.reason)  # noqa: TRY004 - what validation reports; a TypeError would pass through it
        return value
