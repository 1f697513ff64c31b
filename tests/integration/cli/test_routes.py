"""`tenantry routes` and `tenantry upstreams`: apply, diff, export, list, versions, rollback, purge."""

from pathlib import Path
from typing import Any

from gateway.cli.routes import DIFFERENT
from tests.fixtures.commands import Run, answer

EXAMPLE = Path(__file__).parents[3] / "examples" / "crm" / "routes.toml"
_SECOND = """
[[routes]]
name = "second"
path = "/second"
upstream = "demo"
permission = "echo:use"
cost = 5
"""


def _routes(migrated: Run, *arguments: str, code: int = 0) -> Any:
    return answer(migrated("routes", *arguments, "--json"), code)


def test_a_file_is_applied_compared_exported_and_rolled_back(migrated: Run, tmp_path: Path) -> None:
    """Exit codes for CI; what is exported applies to no change."""
    example, longer, exported = str(EXAMPLE), tmp_path / "longer.toml", tmp_path / "exported.toml"
    longer.write_text(EXAMPLE.read_text() + _SECOND)
    assert _routes(migrated, "diff", example, code=DIFFERENT)["equal"] is False
    tried = _routes(migrated, "apply", example, "--dry-run")
    assert [(each["kind"], each["name"], each["action"]) for each in tried["changes"]] == [
        ("upstreams", "demo", "created"),
        ("routes", "echo", "created"),
    ]
    assert tried["version"] == 1
    assert _routes(migrated, "apply", example, "--if-version", "1")["version"] == 2
    assert _routes(migrated, "diff", example) == {"version": 2, "equal": True, "changes": []}
    assert answer(migrated("routes", "apply", str(longer), "--if-version", "1", "--json"), 1)["error"]["code"] == (
        "precondition_failed"
    )
    shown = migrated("routes", "apply", str(longer)).stdout
    assert shown == "route second: created\nversion 3\n"
    exported.write_text(migrated("routes", "export").stdout)
    assert migrated("routes", "diff", str(exported)).stdout == "version 3, nothing differs\n"
    longer.write_text(longer.read_text().replace("cost = 5", "cost = 7"))
    assert migrated("routes", "diff", str(longer)).stdout == "route second: updated\n  cost: 5 -> 7\nversion 3\n"
    assert _routes(migrated, "rollback", "2")["version"] == 4
    assert [(each["number"], each["restored"]) for each in _routes(migrated, "versions")["data"]] == [
        (4, 2),
        (3, None),
        (2, None),
        (1, None),
    ]
    assert _routes(migrated, "purge", "--route", "echo", "--path", "/echo/a") == {
        "purged": {"route": "echo", "path": "/echo/a"}
    }
    for wrong in ("--route=second", "--tenant=nowhere", "--path=echo", "--path=/a --path-prefix=/a"):
        assert _routes(migrated, "purge", *wrong.split(), code=1)["error"]["code"] == "validation_failed"
    assert answer(migrated("routes", "rollback", "9", "--json"), 1)["error"]["code"] == "not_found"
    assert [each["name"] for each in _routes(migrated, "list")["data"]] == ["echo"]
    assert migrated("routes", "list").stdout.splitlines()[1].split() == [
        "echo",
        "any",
        "/echo/*",
        "any",
        "echo:use",
        "demo",
    ]
    assert migrated("upstreams", "list").stdout.splitlines()[1].split() == ["demo", "http://127.0.0.1:9000", "-", "-"]
    assert answer(migrated("upstreams", "list", "--json"))["data"][0]["connections"] == 256


def test_a_file_with_a_fault_in_the_middle_changes_nothing_and_names_the_line(migrated: Run, tmp_path: Path) -> None:
    """What a value is by itself, what the whole is, and what is no TOML."""
    faulty = tmp_path / "routes.toml"
    line = len(EXAMPLE.read_text().splitlines()) + 7
    for wrong, fault in (
        ("cost = 0", f"line {line}: /routes/1/cost: Input should be greater than or equal to 1"),
        (
            "rewrite = '/{id}'",
            f"line {line}: /routes/1/rewrite: The path has no segment with one of the names in braces.",
        ),
        ("cost = = 1", f"Invalid value (at line {line}, column 8)"),
    ):
        faulty.write_text(EXAMPLE.read_text() + _SECOND.replace("cost = 5", wrong) + _SECOND.replace("second", "third"))
        for command in ("apply", "diff"):
            error = _routes(migrated, command, str(faulty), code=1)["error"]
            assert (error["code"], error["details"]) == ("validation_failed", [fault])
    assert _routes(migrated, "versions")["data"][0]["number"] == 1
