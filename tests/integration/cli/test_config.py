"""`tenantry config` shows every setting and no secret."""

from pathlib import Path
from typing import Any

import pytest

from gateway.settings import Settings
from tests.fixtures.commands import SECRET, Run, answer


def settings_by_name(shown: Any) -> dict[str, Any]:
    return {each["name"]: each for each in shown["settings"]}


def test_every_setting_is_listed_with_type_source_and_value(run: Run) -> None:
    shown = answer(run("config", "--json", TENANTRY_BODY_LIMIT="2048"))
    assert shown["valid"]
    found = settings_by_name(shown)
    assert set(found) == {f"TENANTRY_{name.upper()}" for name in Settings.model_fields}
    limit = found["TENANTRY_BODY_LIMIT"]
    assert (limit["type"], limit["source"], limit["value"]) == ("int", "environment", "2048")
    assert found["TENANTRY_AUDIENCE"]["source"] == "default"


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_no_secret_is_shown(run: Run, environment: dict[str, str], options: tuple[str, ...]) -> None:
    """SE2: passwords in URLs are secrets too."""
    stripe = {"TENANTRY_STRIPE_API_KEY": "sk_test_very_secret", "TENANTRY_STRIPE_WEBHOOK_SECRETS": "whsec_hush"}
    result = run("config", *options, **stripe)
    assert result.exit_code == 0
    passwords = [environment[name].split(":")[2].split("@")[0] for name in environment if name.endswith("_URL")]
    for hidden in (SECRET, *stripe.values(), environment["TENANTRY_SIGNING_KEYS"], *passwords):
        assert hidden not in result.output


def test_the_source_that_wins_is_named(run: Run, tmp_path: Path) -> None:
    """Environment before files that it names, and those before the env file."""
    file, named = tmp_path / "tenantry.env", tmp_path / "level"
    file.write_text("TENANTRY_AUDIENCE=from-file\nTENANTRY_LOG_LEVEL=ERROR\nTENANTRY_BODY_LIMIT=4096\n")
    named.write_text("WARNING\n")
    options = ("--env-file", str(file), "config", "--json")
    found = settings_by_name(answer(run(*options, TENANTRY_BODY_LIMIT="2048", TENANTRY_LOG_LEVEL_FILE=str(named))))
    shown = {name: (found[name]["source"], found[name]["value"]) for name in found}
    assert shown["TENANTRY_AUDIENCE"] == (str(file), "from-file")
    assert shown["TENANTRY_LOG_LEVEL"] == ("file", "WARNING")
    assert shown["TENANTRY_BODY_LIMIT"] == ("environment", "2048")


def test_what_is_missing_or_wrong_is_said_and_ends_with_1(run: Run) -> None:
    shown = answer(run("config", "--json", TENANTRY_DATABASE_URL=None, TENANTRY_WORKERS="many"), exit_code=1)
    assert not shown["valid"]
    assert settings_by_name(shown)["TENANTRY_DATABASE_URL"]["source"] == "missing"
    assert {problem.partition(":")[0] for problem in shown["problems"]} == {
        "TENANTRY_DATABASE_URL",
        "TENANTRY_WORKERS",
    }
