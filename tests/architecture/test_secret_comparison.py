"""Secrets and their hashes are compared in constant time: never with ``==``, which ends at the first difference."""

import ast
import re
from collections.abc import Iterator

from tests.architecture.sources import LAYERS, parsed, python_files, shown

_SECRET = re.compile(r"(?:^|_)(?:digest|signature|mac|hmac|secret|token|password)s?$")
_OPERATORS = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)


def _name(node: ast.expr) -> str:
    while isinstance(node, ast.Call | ast.Subscript | ast.Await):
        node = node.func if isinstance(node, ast.Call) else node.value
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _compared(tree: ast.AST) -> Iterator[ast.Compare]:
    """Comparisons of something that is named like a secret with anything but a constant."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(isinstance(each, _OPERATORS) for each in node.ops):
            sides = (node.left, *node.comparators)
            if any(_SECRET.search(_name(each)) for each in sides) and not any(
                isinstance(each, ast.Constant | ast.Set) for each in sides
            ):
                yield node


def test_secrets_are_compared_by_hmac_only() -> None:
    """ID3: ``==`` in SQL is no comparison of Python; the rows that it finds are compared again in constant time."""
    files = [each for each in python_files(*LAYERS) if each.name != "repository.py"]
    assert [f"{shown(path)}:{each.lineno}" for path in files for each in _compared(parsed(path))] == []


def test_the_rule_finds_a_comparison() -> None:
    """ID3: by name, attribute, call and subscript."""
    for code in ("a.digest == b", "digest(x) != y", "row.signatures[0] == z", "secret in known", "x == api_token"):
        assert list(_compared(ast.parse(code))), code
    for code in ("hmac.compare_digest(a.digest, b)", "kind == 'secret'", "a.checksum == b", "digests is None"):
        assert not list(_compared(ast.parse(code))), code


def test_stored_hashes_and_signatures_are_compared_in_constant_time() -> None:
    """ID3: the places that decide about a secret call ``hmac.compare_digest``."""
    calling = {shown(path) for path in python_files(*LAYERS) if "compare_digest(" in path.read_text(encoding="utf-8")}
    deciding = {"tenants/secrets/hashing.py", "tenants/cursors.py", "billing/stripe_events/signature.py"}
    assert calling >= deciding
