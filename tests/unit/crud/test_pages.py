"""A cursor is good for the list that gave it, unchanged, and for no other."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.crud.filters import Filter, Operator
from tenants.crud.pages import Cursors, Listing, Position
from tenants.crud.sort import Sort
from tenants.errors import ValidationFailed
from tenants.identifiers import TenantId
from tenants.resources.registry import load_registry
from tests.fixtures.everything import EVERYTHING

_CRM = load_registry("examples.crm.resources")
_THINGS = load_registry(EVERYTHING)["things"]
_CURSORS = Cursors(b"a secret of the deployment")
_LISTING = Listing(
    TenantId(UUID(int=1)), _CRM["contacts"], Sort("name", descending=False), (Filter("stage", Operator.EQ, "lead"),), ()
)
_POSITION = Position("Ada", UUID(int=2))
_CURSOR = _CURSORS.write(_LISTING, _POSITION)


def _refused(listing: Listing, cursor: str, cursors: Cursors = _CURSORS) -> bool:
    try:
        cursors.read(listing, cursor)
    except ValidationFailed as error:
        return [fault.pointer for fault in error.errors] == ["/query/cursor"]
    return False


def test_a_cursor_gives_its_position_back() -> None:
    """DA3: the next page begins after the very row that ended this one."""
    assert _CURSORS.read(_LISTING, _CURSOR) == _POSITION


@pytest.mark.parametrize(
    ("sort", "value"),
    [
        ("created_at", datetime(2026, 1, 1, 2, 3, 4, 5, UTC)),
        ("code", 'Zoë "the\u2028" 100%'),
        ("small", -(2**15)),
        ("large", 2**63 - 1),
        ("price", Decimal("0.10")),
        ("active", False),
        ("colour", "a choice of a newer release"),
        ("id", UUID(int=1)),
        ("parent_id", UUID(int=2)),
        ("price", None),
    ],
)
def test_a_cursor_carries_every_kind_of_value(sort: str, value: object) -> None:
    """DA3: also the end of a page whose last row has no value."""
    listing = replace(_LISTING, collection=_THINGS, sort=Sort(sort, descending=True), filters=())
    position = Position(value, UUID(int=3))  # type: ignore[arg-type]  # values of many types in one list
    assert _CURSORS.read(listing, _CURSORS.write(listing, position)) == position


@pytest.mark.parametrize(
    "listing",
    [
        replace(_LISTING, tenant=TenantId(UUID(int=4))),
        replace(_LISTING, collection=_CRM["deals"], sort=Sort("title", descending=False)),
        replace(_LISTING, sort=Sort("name", descending=True)),
        replace(_LISTING, sort=Sort("company", descending=False)),
        replace(_LISTING, filters=()),
        replace(_LISTING, filters=(Filter("stage", Operator.EQ, "won"),)),
        replace(_LISTING, filters=(Filter("stage", Operator.NE, "lead"),)),
        replace(_LISTING, filters=(*_LISTING.filters, Filter("name", Operator.EQ, "Ada"))),
        replace(_LISTING, search=("%ada%",)),
    ],
)
def test_a_cursor_of_another_list_is_refused(listing: Listing) -> None:
    """IS6: another tenant's, another resource's, another order's, another filter's, another search's."""
    assert _refused(listing, _CURSOR)


def test_a_cursor_of_another_deployment_is_refused() -> None:
    """The secret is what makes a cursor ours."""
    assert _refused(_LISTING, _CURSOR, Cursors(b"another secret"))


@given(st.data())
def test_a_changed_cursor_is_refused(data: st.DataObject) -> None:
    """IS6: no bit of it can be changed."""
    content = bytearray(urlsafe_b64decode(_CURSOR + "=" * (-len(_CURSOR) % 4)))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert _refused(_LISTING, urlsafe_b64encode(bytes(content)).decode().rstrip("="))


@given(st.text(max_size=200))
def test_no_text_is_a_cursor_by_chance(text: str) -> None:
    """DA1: refused, and never an error of ours."""
    assert _refused(_LISTING, text)


@pytest.mark.parametrize("other", [f"{_CURSOR}=", f" {_CURSOR}", f"{_CURSOR[:5]}!{_CURSOR[5:]}", f"{_CURSOR}\n"])
def test_a_cursor_has_one_spelling(other: str) -> None:
    """What decodes to the same bytes is still a changed cursor."""
    assert _refused(_LISTING, other)
