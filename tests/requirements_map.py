"""Which tests keep which requirement: read from the ids in their docstrings, written to ``tests/README.md``.

``python -m tests.requirements_map`` writes the table anew; ``tests/architecture/test_requirements.py`` fails when it
claims what no test says.
"""

import ast
import re
from collections import defaultdict
from pathlib import Path

README = Path(__file__).with_name("README.md")
_BEGIN, _END = "<!-- generated: begin -->\n", "<!-- generated: end -->\n"
_ID = re.compile(r"\b(?:AU|AZ|CO|DA|ID|IS|OP|PX|SC|SE|SI|TH|UP|WO|WS)[1-9][0-9]?\b")
_HOW_MANY = {
    "ID": 13,
    "AZ": 10,
    "IS": 10,
    "TH": 9,
    "PX": 12,
    "DA": 7,
    "UP": 1,
    "WS": 1,
    "SI": 11,
    "WO": 5,
    "CO": 5,
    "SE": 2,
    "AU": 2,
    "SC": 1,
    "OP": 5,
}


def all_ids() -> list[str]:
    """Every requirement there is, in the order of REQUIREMENTS."""
    return [f"{area}{number}" for area, count in _HOW_MANY.items() for number in range(1, count + 1)]


def kept_by() -> dict[str, list[str]]:
    """Requirement id to the tests that name it in their docstring, as ``path::name``."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(README.parent.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for each in sorted(set(_ID.findall(ast.get_docstring(node) or ""))):
                    found[each].append(f"{path.relative_to(README.parent).as_posix()}::{node.name}")
    return found


def table() -> str:
    """The generated part of the README."""
    kept = kept_by()
    rows = [f"| {each} | {'<br>'.join(f'`{test}`' for test in kept[each])} |\n" for each in all_ids() if each in kept]
    later = ", ".join(each for each in all_ids() if each not in kept)
    return (
        f"| id | kept by |\n| --- | --- |\n{''.join(rows)}\n"
        f"Without a test so far, since what they speak of is not built or not finished: {later}.\n"
    )


def claimed(readme: str) -> dict[str, list[str]]:
    """The table as it stands in the README, in the shape of ``kept_by``."""
    rows = re.findall(r"^\| ([A-Z]+[0-9]+) \| (.+) \|$", readme, re.MULTILINE)
    return {each: re.findall(r"`([^`]+)`", tests) for each, tests in rows}


def replaced(readme: str) -> str:
    """The README with its generated part as the tests have it now."""
    before, _, rest = readme.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{table()}\n{_END}{after}"


if __name__ == "__main__":
    README.write_text(replaced(README.read_text(encoding="utf-8")), encoding="utf-8")
