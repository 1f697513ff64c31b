"""docs/requirements.md defines every id that the repository uses, and lists the tests that hold it."""

import re

import pytest

from tests.architecture.sources import shown, text_files
from tests.requirements_map import DOCUMENT, Requirement, generated, held_by, id_pattern, requirements

# Generated, the licence's own words, or about these rules themselves.
_NOT_READ = {
    "LICENSE",
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-install.txt",
    "tests/architecture/test_requirements.py",
}
_MISSING_DOCUMENT = re.compile(r"\b(?:CONTRACT|DESIGN|REQUIREMENTS|STYLE)(?:\.md|\b(?!-))")


@pytest.fixture(scope="module")
def defined() -> list[Requirement]:
    return requirements(DOCUMENT.read_text(encoding="utf-8"))


def test_ids_are_defined_once(defined: list[Requirement]) -> None:
    ids = [each.id for each in defined]
    assert len(ids) > 100
    assert sorted({each for each in ids if ids.count(each) > 1}) == []
    assert [each.id for each in defined if not each.paragraphs] == []


def test_the_lists_of_tests_are_up_to_date() -> None:
    """A test that was renamed, removed or given another requirement changes the document: run ``make format``."""
    document = DOCUMENT.read_text(encoding="utf-8")
    assert generated(document) == document, "run `make format`"


def test_a_requirement_has_a_test_or_is_marked_as_not_built_or_not_tested(defined: list[Requirement]) -> None:
    held = held_by(frozenset(each.id for each in defined))
    assert [each.id for each in defined if not each.is_marked and each.id not in held] == []
    assert [each.id for each in defined if each.is_marked and each.id in held] == [], "remove the mark: it has a test"


def test_every_id_in_the_repository_is_defined(defined: list[Requirement]) -> None:
    ids = frozenset(each.id for each in defined)
    pattern = id_pattern(ids)
    unknown = [
        f"{shown(path)}: {each}"
        for path in text_files()
        if shown(path) not in _NOT_READ
        for each in sorted(set(pattern.findall(path.read_text(encoding="utf-8"))) - ids)
    ]
    assert unknown == []


def test_no_file_refers_to_a_document_outside_the_repository() -> None:
    """References name a file of this repository, an RFC section or a vendor's page."""
    found = [
        f"{shown(path)}:{number}"
        for path in text_files()
        if shown(path) not in _NOT_READ
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if _MISSING_DOCUMENT.search(line)
    ]
    assert found == []


def test_the_search_for_ids_and_documents_finds_them() -> None:
    """The rules above can fail."""
    assert id_pattern(frozenset({"ID1", "TH2"})).findall("ID99, TH3; WO1 and aID1") == ["ID99", "TH3"]
    assert _MISSING_DOCUMENT.search("see DESIGN decision 2")
    assert _MISSING_DOCUMENT.search("CONTRACT: 201")
