"""An entity tag is of one version of one row of one tenant."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.crud.etags import EntityTags, Tagged
from tenants.identifiers import TenantId
from tenants.resources.registry import load_registry

_CRM = load_registry("examples.crm.resources")
_TAGS = EntityTags(b"a secret of the deployment")
_ROW = Tagged(TenantId(UUID(int=1)), _CRM["contacts"], UUID(int=2))
_TAG = _TAGS.of(_ROW, 3)
_OTHERS = [
    replace(_ROW, tenant=TenantId(UUID(int=3))),
    replace(_ROW, collection=_CRM["deals"]),
    replace(_ROW, id=UUID(int=4)),
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
    assert _TAGS.versions(_ROW, if_match) == versions


@pytest.mark.parametrize("other", _OTHERS)
def test_a_tag_of_another_object_matches_nothing(other: Tagged) -> None:
    """IS7: equal ids and versions of two tenants have different tags."""
    assert _TAGS.versions(other, _TAG) == ()
    assert not _TAGS.unchanged(other, 3, _TAG)
    assert _TAGS.of(other, 3) != _TAG


@pytest.mark.parametrize(
    ("if_none_match", "unchanged"),
    [(None, False), ("*", True), (_TAG, True), (f"W/{_TAG}", True), (f'"x", {_TAG}', True), (_TAGS.of(_ROW, 2), False)],
)
def test_if_none_match_tells_what_the_caller_has(if_none_match: str | None, unchanged: bool) -> None:  # noqa: FBT001
    """RFC 9110 section 13.1.2: weak comparison."""
    assert _TAGS.unchanged(_ROW, 3, if_none_match) is unchanged


@given(st.text(max_size=100))
def test_no_header_breaks_the_reader(header: str) -> None:
    """DA1: whatever stands there, it matches or it does not."""
    assert _TAGS.versions(_ROW, header) in ((), None)
    assert _TAGS.unchanged(_ROW, 3, header) is (header.strip() == "*")
