"""Which tests hold which requirement: read from the ids in docstrings, written into ``docs/requirements.md``.

``python -m tests.requirements_map`` (part of ``make format``) rewrites the generated ``Tests`` lists of that file.
``tests/architecture/test_requirements.py`` fails when they are out of date.
"""

import ast
import re
import textwrap
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

_TESTS = Path(__file__).parent
DOCUMENT = _TESTS.parent / "docs" / "requirements.md"
_HEADING = re.compile(r"^### ([A-Z]{2}[0-9]{1,2})\n", re.MULTILINE)
_SECTION = re.compile(r"^## ", re.MULTILINE)
_MARKS = ("Not built yet: ", "Not tested yet: ")
_GENERATED = "Tests ("
_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Requirement:
    """One section of the document. ``paragraphs`` are those written by hand."""

    id: str
    paragraphs: tuple[str, ...]

    @property
    def is_marked(self) -> bool:
        """Whether the document says that no test holds it yet."""
        return any(paragraph.startswith(_MARKS) for paragraph in self.paragraphs)


def requirements(document: str) -> list[Requirement]:
    """Every requirement that the document defines, in its order."""
    return [Requirement(name, _written(body)) for name, body in _sections(document)]


def held_by(ids: frozenset[str]) -> dict[str, list[str]]:
    """Requirement id to the tests that name it in their docstring, as ``path::name``."""
    names = id_pattern(ids)
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(_TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for each in sorted(set(names.findall(ast.get_docstring(node) or ""))):
                    found[each].append(f"{path.relative_to(_TESTS).as_posix()}::{node.name}")
    return found


def id_pattern(ids: frozenset[str]) -> re.Pattern[str]:
    """Finds whatever looks like an id in an area of the document, defined or not."""
    areas = "|".join(sorted({each.rstrip("0123456789") for each in ids}))
    return re.compile(rf"\b(?:{areas})[1-9][0-9]?\b")


def generated(document: str) -> str:
    """The document with the tests of each requirement as they are now."""
    defined = requirements(document)
    tests = held_by(frozenset(each.id for each in defined))
    for each in defined:
        document = _with_tests(document, each, tests.get(each.id, []))
    return document.rstrip("\n") + "\n"


def _sections(document: str) -> list[tuple[str, str]]:
    parts = _HEADING.split(document)
    return [(name, _SECTION.split(body)[0]) for name, body in zip(parts[1::2], parts[2::2], strict=True)]


def _written(body: str) -> tuple[str, ...]:
    paragraphs = (each.strip() for each in body.split("\n\n"))
    return tuple(each for each in paragraphs if each and not each.startswith(_GENERATED))


def _with_tests(document: str, requirement: Requirement, tests: list[str]) -> str:
    body = dict(_sections(document))[requirement.id]
    paragraphs = [*requirement.paragraphs, *([_paragraph(tests)] if tests else [])]
    heading = f"### {requirement.id}\n"
    return document.replace(f"{heading}{body}", heading + "\n" + "\n\n".join(paragraphs) + "\n\n", 1)


def _paragraph(tests: list[str]) -> str:
    files = Counter(test.partition("::")[0] for test in tests)
    folders = groupby(files, key=lambda path: path.rpartition("/")[0])
    lines = [_line(folder, list(paths), files) for folder, paths in folders]
    return "\n".join((f"{_GENERATED}{len(tests)}):", *lines))


def _line(folder: str, paths: list[str], files: Counter[str]) -> str:
    links = ", ".join(f"[{Path(path).stem}](../tests/{path}) {files[path]}" for path in paths)
    return textwrap.fill(
        f"- {folder}: {links}", _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


if __name__ == "__main__":
    DOCUMENT.write_text(generated(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
