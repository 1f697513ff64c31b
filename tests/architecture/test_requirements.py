"""The table of requirements in tests/README.md claims nothing that the tests do not say."""

from tests.requirements_map import README, all_ids, claimed, kept_by


def test_every_id_in_the_table_stands_in_the_docstring_of_the_test_beside_it() -> None:
    """A test that was renamed, removed or changed in its promise takes its row with it: ``make format`` does."""
    kept = kept_by()
    table = claimed(README.read_text(encoding="utf-8"))
    assert table
    false = {each: sorted(set(tests) - set(kept.get(each, ()))) for each, tests in table.items()}
    assert {each: tests for each, tests in false.items() if tests} == {}


def test_every_requirement_that_a_test_keeps_is_in_the_table() -> None:
    """``make format`` adds it."""
    assert set(claimed(README.read_text(encoding="utf-8"))) == set(kept_by())


def test_no_test_names_a_requirement_that_there_is_not() -> None:
    """A slip of the pen would leave a requirement without its test."""
    assert set(kept_by()) <= set(all_ids())
