"""The shape of production in docker-compose.yml and Dockerfile, held without a container engine."""

import re
from typing import Any

import pytest
import yaml
from rich.text import Text
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.settings import PREFIX, SECRET_FIELDS, Settings
from tests.architecture.sources import ROOT

_OURS = ("migrate", "gateway", "worker")
_COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
_SERVICES: dict[str, dict[str, Any]] = _COMPOSE["services"]


def test_the_parts_of_production_are_there() -> None:
    assert set(_SERVICES) == {"postgres", "redis", *_OURS}


@pytest.mark.parametrize("name", _SERVICES)
def test_every_container_is_an_ordinary_user_on_a_read_only_root_without_capabilities(name: str) -> None:
    service = _SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] not in {"root", "0", "0:0"}
    assert service["pids_limit"] > 0
    assert any(":size=" in mount for mount in service["tmpfs"])
    assert "privileged" not in service


@pytest.mark.parametrize("name", [name for name in _SERVICES if name != "migrate"])
def test_every_service_that_stays_says_whether_it_is_well(name: str) -> None:
    check = _SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries"} <= set(check)
    assert _SERVICES[name]["restart"] == "unless-stopped"


def test_nobody_is_served_before_the_migration_is_done() -> None:
    """OP4: and the migration not before PostgreSQL answers."""
    assert _SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in ("gateway", "worker"):
        assert _SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


@pytest.mark.parametrize("name", _OURS)
def test_every_variable_is_a_setting_and_every_secret_comes_as_a_file(name: str) -> None:
    """SE2: a secret in an environment variable is shown by every tool that shows a container."""
    given = _SERVICES[name]["environment"]
    for variable, value in given.items():
        setting = variable.removeprefix(PREFIX).removesuffix("_FILE").lower()
        assert setting in Settings.model_fields, variable
        if variable.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in _SERVICES[name]["secrets"], variable
            assert value.removeprefix("/run/secrets/") in _COMPOSE["secrets"], variable
    by_file = {variable.removeprefix(PREFIX).removesuffix("_FILE").lower() for variable in given if "_FILE" in variable}
    assert by_file >= SECRET_FIELDS
    assert "database_url" in by_file
    assert given["TENANTRY_MODE"] == "production"


def test_only_the_migration_holds_the_credentials_of_owner_and_superuser() -> None:
    """The gateway logs in as a role that owns nothing (docs/architecture.md, "Isolation in PostgreSQL")."""
    for name in ("gateway", "worker"):
        assert not {"owner_database_url", "admin_database_url", "postgres_password"} & set(_SERVICES[name]["secrets"])


def test_database_and_counters_cannot_be_reached_from_outside() -> None:
    assert _COMPOSE["networks"]["inside"] == {"internal": True}
    for name in ("postgres", "redis"):
        assert _SERVICES[name]["networks"] == ["inside"]
        assert "ports" not in _SERVICES[name]
    assert _SERVICES["gateway"]["ports"] == ["${TENANTRY_LISTEN:-127.0.0.1:8000}:8000"]


def test_redis_never_forgets_a_counter_to_make_room() -> None:
    """TH1: an evicted window would be granted again."""
    command = _SERVICES["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


@pytest.mark.parametrize("name", _OURS)
def test_every_command_is_one_that_tenantry_has(name: str) -> None:
    command, *options = _SERVICES[name]["command"]
    asked = CliRunner().invoke(app, [command, "--help"])
    assert asked.exit_code == 0, asked.output
    for option in options:
        assert not option.startswith("--") or option in Text.from_ansi(asked.output).plain, option


def test_the_image_holds_what_serves_and_runs_as_an_ordinary_user() -> None:
    """SC1: installed by hash from what is pinned; no tool that installs stays in it."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "--require-hashes" in lines
    assert "requirements-dev.txt" not in lines
    assert re.search(r"^USER 10001:10001$", lines, re.MULTILINE)
    assert lines.index("USER 10001") < lines.index("ENTRYPOINT")
    for folder in re.findall(r"^COPY ([a-z]+) \1$", lines, re.MULTILINE):
        assert (ROOT / folder / "__init__.py").is_file()


def test_the_builder_is_sent_only_what_the_image_copies() -> None:
    """SE2: no secret and no data can slip into a layer."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    copied = set(re.findall(r"^COPY (?!--from)(\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {line[1:] for line in lines if line.startswith("!")} == copied
