"""The repository's own files, read as text and as syntax, for the tests that hold its rules."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAYERS = ("gateway", "migrations", "billing", "tenants")
CODE = (*LAYERS, "tenantry", "examples", "tests", "benchmarks")
_NOT_OURS = {"node_modules", "__pycache__", "dist", "build"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def python_files(*folders: str) -> tuple[Path, ...]:
    """Every Python file in these folders (all of ours when none is named), sorted."""
    found = (path for folder in folders or CODE for path in (ROOT / folder).rglob("*.py"))
    return tuple(sorted(path for path in found if _NOT_OURS.isdisjoint(path.parts)))


@cache
def parsed(path: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def shown(path: Path) -> str:
    """The path as people write it, from the repository's root."""
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[Function]:
    """Every function of the file, nested ones too."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, Function):
            yield node


def text_files() -> Iterator[Path]:
    """Every file that belongs to the repository and holds text: what is ignored, installed or built is left out."""
    for path in sorted(ROOT.rglob("*")):
        inside = path.relative_to(ROOT).parts
        hidden = inside[0].startswith(".") and inside[0] not in {".ci", ".gitignore", ".dockerignore"}
        if path.is_file() and not hidden and _NOT_OURS.isdisjoint(inside) and b"\0" not in path.read_bytes()[:8000]:
            yield path
