"""Every error has a code of its own, a status and a page (DESIGN decision 12)."""

import pkgutil
import re
from importlib import import_module

import pytest

from gateway.api.problem_pages import _WHAT_TO_DO
from gateway.problems.documents import catalogue, status_of
from tenants.errors import ErrorKind, TenantryError
from tests.architecture.sources import FLOORS


def _ours(error: type[TenantryError]) -> bool:
    return error.__module__.split(".")[0] in FLOORS


@pytest.fixture(scope="module", autouse=True)
def _everything_imported() -> None:
    """An error whose module nobody has imported would be missing from what is checked."""
    for floor in FLOORS:
        for found in pkgutil.walk_packages(import_module(floor).__path__, f"{floor}."):
            if ".versions" not in found.name and not found.name.endswith((".env", ".__main__")):
                import_module(found.name)


def _declared(base: type[TenantryError] = TenantryError) -> list[type[TenantryError]]:
    return [each for direct in base.__subclasses__() for each in (direct, *_declared(direct))]


def test_a_code_belongs_to_one_class_and_those_that_refine_it() -> None:
    """CONTRACT: codes are stable; two meanings under one would not be."""
    owners: dict[str, type[TenantryError]] = {}
    for error in filter(_ours, _declared()):
        if "code" in vars(error):
            assert error.code not in owners, f"{error.code}: {owners[error.code]} and {error}"
            owners[error.code] = error
    assert {code: error for code, error in catalogue().items() if _ours(error)}.keys() == owners.keys()


def test_every_error_is_complete_and_speaks_to_the_caller() -> None:
    """CONTRACT: code in snake_case, a title, a sentence; nothing to be filled in with what somebody sent."""
    for error in filter(_ours, _declared()):
        if not hasattr(error, "code"):
            continue
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code), error
        assert error.title, error
        assert re.fullmatch(r"[A-Z].*\.", error.message), error
        assert not {"{", "%", "<"} & set(error.message), error
        assert 400 <= status_of(error) <= 504, error


def test_every_kind_says_what_to_do() -> None:
    """The page of a problem is never without advice."""
    assert set(_WHAT_TO_DO) == set(ErrorKind)
