"""The size of the code: lines, files, and the lengths of functions, for the packages of the product.

Lines of code are lines with at least one token that is neither a comment nor a docstring. The length of a function is
the number of lines from its ``def`` to its end, without decorators; functions within functions count as well.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

from benchmarks.options import Options
from benchmarks.report import Bound, Cell, Column, Report, Table, Target

_PACKAGES = ("gateway", "tenants", "billing", "migrations")
_SMALL_FILE = 50  # lines
_LARGEST_FILE, _MEDIAN_FUNCTION, _P90_FUNCTION = 350, 8, 30  # lines: CONTRIBUTING's bounds
_NO_CODE = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
)
_COLUMNS = (
    Column("package"),
    Column("lines of code", ",d"),
    Column("lines", ",d"),
    Column("files", "d"),
    Column("files < 50 lines", "d"),
    Column("longest file", "d"),
    Column("functions", "d"),
    Column("median length", ".0f"),
    Column("p90 length", ".0f"),
)


@dataclass(slots=True)
class Size:
    """The files and functions of a package, or of several."""

    code: int = 0
    files: list[int] = field(default_factory=list)  # lines of each
    functions: list[int] = field(default_factory=list)  # lines of each

    def add(self, text: str) -> None:
        """Count a module."""
        tree = ast.parse(text)
        self.code += len(_code_lines(text) - _docstring_lines(tree))
        self.files.append(len(text.splitlines()))
        self.functions += [_length(node) for node in ast.walk(tree) if isinstance(node, _FUNCTION)]

    def merge(self, other: "Size") -> None:
        """Add the figures of another package."""
        self.code += other.code
        self.files += other.files
        self.functions += other.functions

    def p90(self) -> float:
        """The length that 90 % of the functions do not exceed."""
        return quantiles(self.functions, n=10, method="inclusive")[-1]

    def row(self, name: str) -> list[Cell]:
        """A table row."""
        small = sum(lines < _SMALL_FILE for lines in self.files)
        files = (sum(self.files), len(self.files), small, max(self.files))
        return [name, self.code, *files, len(self.functions), median(self.functions), self.p90()]


_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def measure(options: Options) -> Report:
    """Count this checkout and, if there is one, the base."""
    sizes = _sizes(Path.cwd())
    tables = [_table("The code", sizes)]
    if options.base is not None:
        tables.append(_table("The code of the base", _sizes(options.base)))
    total = sizes["total"]
    targets = [
        Target("longest file, lines", Bound.AT_MOST, _LARGEST_FILE, max(total.files), ".0f"),
        Target("median function, lines", Bound.AT_MOST, _MEDIAN_FUNCTION, median(total.functions), ".0f"),
        Target("p90 function, lines", Bound.AT_MOST, _P90_FUNCTION, total.p90(), ".0f"),
    ]
    return Report(tables, targets)


def _table(title: str, sizes: dict[str, Size]) -> Table:
    return Table(title, _COLUMNS, [size.row(name) for name, size in sizes.items()])


def _sizes(checkout: Path) -> dict[str, Size]:
    sizes = {package: _size(checkout / package) for package in _PACKAGES}
    total = Size()
    for size in sizes.values():
        total.merge(size)
    return sizes | {"total": total}


def _size(package: Path) -> Size:
    size = Size()
    for path in sorted(package.rglob("*.py")):
        size.add(path.read_text(encoding="utf-8"))
    return size


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _code_lines(text: str) -> set[int]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {line for token in tokens if token.type not in _NO_CODE for line in range(token.start[0], token.end[0] + 1)}


def _docstring_lines(tree: ast.Module) -> set[int]:
    return {line for node in _docstrings(tree) for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


def _docstrings(tree: ast.Module) -> Iterator[ast.Expr]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, *_FUNCTION)) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                yield first
