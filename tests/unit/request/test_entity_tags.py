"""An entity tag is of one version of one row of one tenant."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import create_model
from starlette.types import Scope

from gateway.request.entity_tags import EntityTags, Tagged, representation_of

_TAGS = EntityTags(b"a secret of the deployment")
_ROW = Tagged(b"contacts", UUID(int=2).bytes, UUID(int=1).bytes)
_TAG = _TAGS.of(_ROW, 3)
_OTHERS = [
    replace(_ROW, tenant=UUID(int=3).bytes),
    replace(_ROW, representation=b"dealings"),
    replace(_ROW, id=UUID(int=4).bytes),
]


@pytest.mark.parametrize(
    ("if_match", "versions"),
    [
        (None, None),
        ("*", None),
        (" * ", None),
        (_TAG, (3,)),
        (f" {_TAG} ", (3,)),
        (f'{_TAGS.of(_ROW, 2)}, "other",{_TAG}', (2, 3)),
        (f",{_TAG}", (3,)),
        (f' , "other",, ,{_TAG},', (3,)),
        (",", ()),
        (f"W/{_TAG}", ()),
        (_TAG.strip('"'), ()),
        (_TAG.replace("3-", "4-"), ()),
        (_TAG.replace("3-", "03-"), ()),
        ('""', ()),
        ("", ()),
        (f"nonsense, {_TAG}", ()),
    ],
)
def test_if_match_allows_the_versions_that_it_names(if_match: str | None, versions: tuple[int, ...] | None) -> None:
    """DA4; RFC 9110 section 13.1.1: strong comparison, and what cannot be read matches nothing."""
    assert _TAGS.expected(_ROW, _scope("if-match", if_match)) == versions


@pytest.mark.parametrize("other", _OTHERS)
def test_a_tag_of_another_object_matches_nothing(other: Tagged) -> None:
    """IS7: equal ids and versions of two tenants have different tags."""
    assert _TAGS.expected(other, _scope("if-match", _TAG)) == ()
    assert not _TAGS.unchanged(other, 3, _scope("if-none-match", _TAG))
    assert _TAGS.of(other, 3) != _TAG


@pytest.mark.parametrize(
    ("if_none_match", "unchanged"),
    [(None, False), ("*", True), (_TAG, True), (f"W/{_TAG}", True), (f'"x", {_TAG}', True), (_TAGS.of(_ROW, 2), False)],
)
def test_if_none_match_tells_what_the_caller_has(if_none_match: str | None, unchanged: bool) -> None:  # noqa: FBT001
    """RFC 9110 section 13.1.2: weak comparison."""
    assert _TAGS.unchanged(_ROW, 3, _scope("if-none-match", if_none_match)) is unchanged


@given(st.text(st.characters(max_codepoint=255), max_size=100))
def test_no_header_breaks_the_reader(header: str) -> None:
    """DA1: whatever stands there, it matches or it does not."""
    assert _TAGS.expected(_ROW, _scope("if-match", header)) in ((), None)
    assert _TAGS.unchanged(_ROW, 3, _scope("if-none-match", header)) is (header.strip() == "*")


def test_lines_of_a_field_are_one_list() -> None:
    """RFC 9110 section 5.3."""
    scope: Scope = {"type": "http", "headers": [(b"if-match", b'"other"'), (b"if-match", _TAG.encode())]}
    assert _TAGS.expected(_ROW, scope) == (3,)


def test_another_shape_of_an_answer_is_another_representation() -> None:
    """A tag from before a release that shows other fields matches nothing."""
    one, two = create_model("Shown", name=(str, ...)), create_model("Shown", name=(str | None, ...))
    assert representation_of(one) != representation_of(two)
    assert representation_of(one) == representation_of(create_model("Shown", name=(str, ...)))


def _scope(name: str, value: str | None) -> Scope:
    return {"type": "http", "headers": [] if value is None else [(name.encode(), value.encode("latin-1"))]}
