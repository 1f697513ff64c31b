"""`tenantry config` lists every setting and no secret."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import Settings
from tests.fixtures.commands import SECRET, Run, answer


def settings_by_name(report: Any) -> dict[str, Any]:
    return {each["name"]: each for each in report["settings"]}


def test_every_setting_is_listed_with_type_source_and_value(run: Run) -> None:
    report = answer(run("config", "--json", TENANTRY_BODY_LIMIT="2048"))
    assert report["valid"]
    found = settings_by_name(report)
    assert set(found) == {f"TENANTRY_{name.upper()}" for name in Settings.model_fields}
    limit = found["TENANTRY_BODY_LIMIT"]
    assert (limit["type"], limit["source"], limit["value"]) == ("int", "environment", "2048")
    assert found["TENANTRY_AUDIENCE"]["source"] == "default"


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_no_secret_is_printed(run: Run, environment: dict[str, str], options: tuple[str, ...]) -> None:
    """SE2: passwords in URLs are secrets too."""
    stripe = {"TENANTRY_STRIPE_API_KEY": "sk_test_very_secret", "TENANTRY_STRIPE_WEBHOOK_SECRETS": "whsec_hush"}
    result = run("config", *options, **stripe)
    assert result.exit_code == 0
    passwords = [environment[name].split(":")[2].split("@")[0] for name in environment if name.endswith("_URL")]
    for hidden in (SECRET, *stripe.values(), environment["TENANTRY_SIGNING_KEYS"], *passwords):
        assert hidden not in result.output


def test_the_source_with_precedence_is_named(run: Run, tmp_path: Path) -> None:
    """The environment, then files that it names, then the env file."""
    file, named = tmp_path / "tenantry.env", tmp_path / "level"
    file.write_text("TENANTRY_AUDIENCE=from-file\nTENANTRY_LOG_LEVEL=ERROR\nTENANTRY_BODY_LIMIT=4096\n")
    named.write_text("WARNING\n")
    options = ("--env-file", str(file), "config", "--json")
    found = settings_by_name(answer(run(*options, TENANTRY_BODY_LIMIT="2048", TENANTRY_LOG_LEVEL_FILE=str(named))))
    report = {name: (found[name]["source"], found[name]["value"]) for name in found}
    assert report["TENANTRY_AUDIENCE"] == (str(file), "from-file")
    assert report["TENANTRY_LOG_LEVEL"] == ("file", "WARNING")
    assert report["TENANTRY_BODY_LIMIT"] == ("environment", "2048")


def test_missing_and_invalid_settings_are_reported_with_exit_code_1(run: Run) -> None:
    report = answer(run("config", "--json", TENANTRY_DATABASE_URL=None, TENANTRY_WORKERS="many"), exit_code=1)
    assert not report["valid"]
    assert settings_by_name(report)["TENANTRY_DATABASE_URL"]["source"] == "missing"
    assert {problem.partition(":")[0] for problem in report["problems"]} == {
        "TENANTRY_DATABASE_URL",
        "TENANTRY_WORKERS",
    }


@pytest.mark.parametrize("command", [("config",), ("serve",)])
@pytest.mark.parametrize("operations", ['"sign"', "5", "null", '["verify"]', '[["sign"]]'])
def test_a_signing_key_with_wrong_operations_is_a_readable_error(
    run: Run, environment: dict[str, str], command: tuple[str, ...], operations: str
) -> None:
    """ID6: RFC 7517 section 4.3; the setting is named, and nothing of the key is shown."""
    keys = environment["TENANTRY_SIGNING_KEYS"].replace('"kid"', f'"key_ops": {operations}, "kid"')
    result = run(*command, TENANTRY_SIGNING_KEYS=keys)
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit)  # no traceback
    assert "TENANTRY_SIGNING_KEYS" in result.output
    assert "key_ops" in result.output
    assert json.loads(keys)["keys"][0]["d"] not in result.output
