"""How events are shown: ids with their types, numbers with every digit, and no cell that is a formula."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from tenants.audit.schemas import COLUMNS, Renderer, any_id
from tenants.events.repository import StoredEvent
from tenants.identifiers import show

_ID = UUID(int=7)
_EVENT = StoredEvent(
    id=_ID,
    sequence=None,
    category="data",
    type="contacts.updated",
    object_id=_ID,
    actor_kind="user",
    actor_id=_ID,
    request_id=None,
    source="::1",
    reason=None,
    before='{"price": 12.10, "big": 12345678901234567890.123456789}',
    after=None,
    created_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
    hash=None,
)
_RENDERER = Renderer({"contacts": "contact", "members": "membership"})


def test_states_are_copied_digit_by_digit() -> None:
    """A parser of floats would round them, and the hash of an export could not be computed."""
    shown = _RENDERER.json(_EVENT)
    assert b'"before":{"price": 12.10, "big": 12345678901234567890.123456789},"after":null' in shown
    assert b'"created_at":"2026-01-31T12:00:00Z"' in shown


@pytest.mark.parametrize(
    ("category", "action", "expected"),
    [
        ("data", "contacts.updated", "contact"),
        ("data", "members.updated", "membership"),  # a resource of the SaaS, named as an object of ours
        ("management", "members.updated", "usr"),
        ("management", "api_keys.created", "key"),
        ("access", "sign_in.refused", "usr"),
        ("data", "invoices.created", None),  # a resource that is declared no more
        ("management", "unknown.created", None),
    ],
)
def test_the_type_of_the_objects_id_follows_from_the_action(category: str, action: str, expected: str | None) -> None:
    event = _EVENT._replace(category=category, type=action)
    cells = dict(zip(COLUMNS, _RENDERER.cells(event), strict=True))
    assert cells["object"] == (str(_ID) if expected is None else show(expected, _ID))
    assert cells["actor_id"] == show("usr", _ID)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_that_would_be_a_formula_is_text(text: str) -> None:
    """CSV injection (OWASP)."""
    event = _EVENT._replace(reason=text, source=text, type=text, request_id=text)
    cells = dict(zip(COLUMNS, _RENDERER.cells(event), strict=True))
    assert {cells[name] for name in ("reason", "source", "action", "request_id")} == {f"'{text}"}


def test_ids_of_any_type_are_read() -> None:
    assert any_id(show("contact", _ID)) == any_id(show("line_item", _ID)) == any_id(str(_ID)) == _ID
    assert [any_id(text) for text in ("", "_", "contact_", "contact_1", "Contact_x", "7")] == [None] * 6
