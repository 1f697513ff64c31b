"""Every error has a code of its own, a status, a page and a row in docs/api.md."""

import pkgutil
import re
from importlib import import_module

import pytest

from gateway.api.problem_pages import _WHAT_TO_DO
from gateway.problems.documents import catalogue, status_of
from tenants.errors import ErrorKind, TenantryError
from tests.architecture.sources import LAYERS, ROOT


def _ours(error: type[TenantryError]) -> bool:
    return error.__module__.split(".")[0] in LAYERS


@pytest.fixture(scope="module", autouse=True)
def _everything_imported() -> None:
    """An error is found only when its module has been imported."""
    for layer in LAYERS:
        for found in pkgutil.walk_packages(import_module(layer).__path__, f"{layer}."):
            if ".versions" not in found.name and not found.name.endswith((".env", ".__main__")):
                import_module(found.name)


def _declared(base: type[TenantryError] = TenantryError) -> list[type[TenantryError]]:
    return [each for direct in base.__subclasses__() for each in (direct, *_declared(direct))]


def test_a_code_belongs_to_one_class_and_those_that_refine_it() -> None:
    """A code is stable and has one meaning."""
    owners: dict[str, type[TenantryError]] = {}
    for error in filter(_ours, _declared()):
        if "code" in vars(error):
            assert error.code not in owners, f"{error.code}: {owners[error.code]} and {error}"
            owners[error.code] = error
    assert {code: error for code, error in catalogue().items() if _ours(error)}.keys() == owners.keys()


def test_every_error_has_a_code_a_title_and_a_constant_message() -> None:
    """The code is snake_case, the message a sentence without placeholders: the input is never echoed."""
    for error in filter(_ours, _declared()):
        if not hasattr(error, "code"):
            continue
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code), error
        assert error.title, error
        assert re.fullmatch(r"[A-Z].*\.", error.message), error
        assert not {"{", "%", "<"} & set(error.message), error
        assert 400 <= status_of(error) <= 504, error


def test_the_api_documentation_lists_every_code_under_its_status() -> None:
    document = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([45][0-9]{2}) \| (.+) \|$", document, re.MULTILINE)
    listed = {code: int(status) for status, codes in rows for code in re.findall(r"`([a-z_]+)`", codes)}
    assert listed == {code: status_of(error) for code, error in catalogue().items() if _ours(error)}


def test_every_kind_of_error_has_advice() -> None:
    """The page of a problem is never without advice."""
    assert set(_WHAT_TO_DO) == set(ErrorKind)
