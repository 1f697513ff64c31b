"""Ids as people see them."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from typeid import TypeID

from tenants.identifiers import TENANT, USER, new_id, read, show


@given(st.uuids())
def test_an_id_reads_back_as_the_library_of_the_specification_reads_it(value: UUID) -> None:
    """Our encoder and the TypeID library agree on every UUID."""
    shown = show(TENANT, value)
    assert UUID(bytes=TypeID.from_string(shown).uuid_bytes) == value
    assert read(TENANT, shown) == value


@given(st.uuids())
def test_an_id_of_another_type_does_not_exist(value: UUID) -> None:
    """AZ4: a tenant's id where a user's is expected is no id at all."""
    assert read(USER, show(TENANT, value)) is None


@given(st.text())
def test_text_that_is_no_id_is_none_and_never_an_error(text: str) -> None:
    """DA1: whatever stands in a path, the answer is 404."""
    assert read(TENANT, text) is None


def test_ids_sort_by_the_time_at_which_they_were_made() -> None:
    """Ids are sortable, in the database and as text."""
    made = [new_id() for _ in range(1000)]
    assert made == sorted(made)
    assert [show(TENANT, each) for each in made] == sorted(show(TENANT, each) for each in made)
