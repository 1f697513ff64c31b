"""The rules of the composition: every job has its place in it, and no service commits."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import parsed, python_files, shown

_FEATURES = "gateway/features.py"


def _calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call))


def test_every_feature_with_jobs_is_in_the_one_list_of_jobs() -> None:
    """A job that is declared and not added would fail in every worker that takes it."""
    declared = {
        node.name
        for path in python_files()
        if path.name == "jobs.py"
        for node in parsed(path).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("add_")
    }
    [features] = [path for path in python_files() if shown(path) == _FEATURES]
    added = {call.func.id for call in _calls(features) if isinstance(call.func, ast.Name)}
    assert declared
    assert declared - added == set()


def test_no_service_commits() -> None:
    """One request, one transaction, one commit: the code that opens the transaction ends it."""
    found = [
        f"{shown(path)}:{call.lineno}"
        for path in python_files()
        if path.name == "service.py"
        for call in _calls(path)
        if isinstance(call.func, ast.Attribute) and call.func.attr in {"commit", "rollback"}
    ]
    assert found == []
