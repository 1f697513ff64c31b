"""Files and functions are small, imports are at the top, SQL is in repositories (CONTRIBUTING.md)."""

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import LAYERS, Function, functions, parsed, python_files, shown

_CHARACTER_CLASS = re.compile(r"\[(?:\\.|[^\]\\])*\]")
_MOST_LINES = 350
_MEDIAN, _NINE_OF_TEN, _LONGEST = 8, 30, 60  # lines of a function's body, without its docstring

# Modules that are named at run time: commands, each imported when it is called, the SaaS's resources, and an extra.
_IMPORT_BY_NAME = {"gateway/cli/command_group.py", "gateway/proxy/spans.py", "tenants/resources/project.py"}

_STATEMENT_MAKERS = {"delete", "insert", "select", "text", "update"}
_SQL = re.compile(
    r"\s*(SELECT\s.+\sFROM\s|SELECT\s+[a-z_]+\(|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s"
    r"|(CREATE|ALTER|DROP|GRANT|REVOKE|TRUNCATE)\s+(?!ON\s)[A-Z]+\s|SET\s+LOCAL\s|LISTEN\s|NOTIFY\s)",
    re.DOTALL,
)


def _body_lines(function: Function) -> int:
    body = function.body
    if len(body) > 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def test_no_file_is_too_long_to_read() -> None:
    """50 to 350 lines; the lower bound is a matter of taste."""
    lengths = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert {name: lines for name, lines in lengths.items() if lines > _MOST_LINES} == {}


def test_functions_are_short() -> None:
    """Median at most 8 lines, 90 % at most 30, none beyond 60; a migration is one list of statements and may be."""
    lines = {
        f"{shown(path)}:{function.name}": _body_lines(function)
        for path in python_files()
        if "migrations" not in path.parts
        for function in functions(path)
    }
    assert statistics.median(lines.values()) <= _MEDIAN
    assert sorted(lines.values())[int(len(lines) * 0.9)] <= _NINE_OF_TEN
    assert {name: length for name, length in lines.items() if length > _LONGEST} == {}


def _hidden_imports() -> Iterator[str]:
    for path in python_files():
        for function in functions(path):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield f"{shown(path)}:{node.lineno}"
        if shown(path) in _IMPORT_BY_NAME or path.parts[-2] == "architecture":
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Name) and node.id in {"__import__", "import_module"}:
                yield f"{shown(path)}:{node.lineno}"


def test_no_import_hides_in_a_function() -> None:
    """Imports go down only; an import inside a function hides a circle (docs/architecture.md, "Layers")."""
    assert sorted(set(_hidden_imports())) == []


def _may_write_sql(name: str) -> bool:
    return (
        name.endswith(("/repository.py", "/models.py"))
        or name.startswith(("tenants/database/", "migrations/", "gateway/development/"))
        or "/migrations/" in name
    )


def _sql_of(name: str, tree: ast.Module) -> Iterator[str]:
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | Function) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "sqlalchemy":
            for alias in node.names:
                if alias.name in _STATEMENT_MAKERS:
                    yield f"{name}:{node.lineno} imports {alias.name}"
        if not isinstance(node, ast.Constant) or id(node) in documented:
            continue
        if isinstance(node.value, str) and _SQL.match(node.value):
            yield f"{name}:{node.lineno} {node.value.strip()[:40]!r}"


def test_sql_is_written_in_repositories_and_by_the_database_alone() -> None:
    """Only ``*/repository.py``, ``*/models.py``, ``tenants/database`` and the migrations write SQL."""
    found = [
        finding
        for path in python_files(*LAYERS, "examples")
        if not _may_write_sql(shown(path))
        for finding in _sql_of(shown(path), parsed(path))
    ]
    assert found == []


def test_the_search_for_sql_finds_it() -> None:
    """The rule above can fail."""
    hidden = ast.parse('from sqlalchemy import text\nX = text("SELECT a FROM b")\nY = f"DELETE FROM {X}"')
    assert len(list(_sql_of("x.py", hidden))) == 3


def test_no_pattern_has_a_possessive_group() -> None:
    """PX5: Python before 3.11.5 matches them wrongly, so that a strict pattern accepts what it must not.

    https://github.com/python/cpython/issues/106052. Possessive repetition of one character class is right.
    """
    possessive = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+|\(\?>")
    found = [shown(path) for path in python_files(*LAYERS, "tenantry") if any(map(possessive.search, _strings(path)))]
    assert found == []


def _strings(path: Path) -> Iterator[str]:
    """Every string of the file, without what patterns have in brackets."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            yield _CHARACTER_CLASS.sub("", text)
