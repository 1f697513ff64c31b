"""``tenantry`` is the one public module, and is enough for a project."""

import ast

import tenantry
from tests.architecture.sources import LAYERS, ROOT, parsed, python_files, shown


def _imports(tree: ast.Module) -> set[str]:
    """The top-level packages that a file imports."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_the_examples_import_the_public_module_only() -> None:
    imports = {shown(path): _imports(parsed(path)) for path in python_files("examples")}
    assert "tenantry" in set().union(*imports.values())
    assert {name: found & set(LAYERS) for name, found in imports.items() if found & set(LAYERS)} == {}


def test_a_new_project_imports_the_public_module_only() -> None:
    templates = sorted((ROOT / "gateway/cli/project_template").rglob("*.py.template"))
    imports = {path: _imports(ast.parse(path.read_text(encoding="utf-8").replace("$", ""))) for path in templates}
    assert "tenantry" in set().union(*imports.values())
    assert {path: found & set(LAYERS) for path, found in imports.items() if found & set(LAYERS)} == {}


def test_every_public_name_exists_and_is_documented() -> None:
    assert tenantry.__doc__
    for name in tenantry.__all__:
        assert hasattr(tenantry, name)
        assert name == "__version__" or f"``{name}" in tenantry.__doc__, name


def test_every_package_is_typed() -> None:
    """A type checker takes what ``tenantry`` re-exports from a package without the marker for ``Any``."""
    for package in (*LAYERS, "tenantry"):
        assert (ROOT / package / "py.typed").is_file(), package
